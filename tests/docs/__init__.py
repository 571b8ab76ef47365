"""Tests of the examples and notebooks in the docs."""
