"""A window that shows images."""

# h and w the height and width of an image

import os
import sys

import cv2
from jaxtyping import UInt8
from numpy import ndarray

from vision.errors import ConfigError

_QUIT = frozenset({27, ord("q")})  # 27 is Escape
_WAIT_MS = 1


class Window:
    """Shows images, each in place of the one before.

    Raises:
        ConfigError: If there is no display, or OpenCV was built without windows.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        try:
            if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ):
                raise cv2.error("no display")  # where OpenCV would abort  # noqa: TRY301
            cv2.namedWindow(title, cv2.WINDOW_NORMAL)
        except cv2.error as error:
            raise ConfigError(
                "--show cannot be used: there is no display, or the installed OpenCV has no"
                " windows (opencv-python-headless)"
            ) from error

    def show(self, image: UInt8[ndarray, "h w 3"]) -> None:
        """Show an RGB image.

        Raises:
            KeyboardInterrupt: If q or Escape has been pressed.
        """
        cv2.imshow(self._title, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        if cv2.waitKey(_WAIT_MS) & 0xFF in _QUIT:
            raise KeyboardInterrupt
