"""Tests of `vision.formats`."""
