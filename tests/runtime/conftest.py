"""The fixtures of exported graphs."""

from tests.exported import exported, images, saved

__all__ = ["exported", "images", "saved"]
