"""Tests of ``vision.media``."""
