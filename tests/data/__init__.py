"""Tests of ``vision.data``."""
