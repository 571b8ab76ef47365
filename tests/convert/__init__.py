"""Tests of `vision.convert`."""
