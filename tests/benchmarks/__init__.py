"""Measurements. Not tests: a time passes or fails by the machine it was taken on."""
