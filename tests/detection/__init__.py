"""Tests of detection runs."""
