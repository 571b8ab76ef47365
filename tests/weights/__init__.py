"""Tests of `vision.weights`."""
