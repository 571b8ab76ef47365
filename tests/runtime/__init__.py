"""Tests of exported graphs."""
