"""Tests of ``vision.metrics``."""
