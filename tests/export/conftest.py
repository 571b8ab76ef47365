"""The fixtures of exported graphs."""

from tests.exported import exported, images, saved, traced_once

__all__ = ["exported", "images", "saved", "traced_once"]
