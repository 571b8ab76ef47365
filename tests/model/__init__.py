"""Tests of `vision.model`."""
