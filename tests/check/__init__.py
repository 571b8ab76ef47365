"""Tests of `vision.check`."""
