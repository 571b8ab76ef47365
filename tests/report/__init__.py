"""Tests of `vision.report`."""
