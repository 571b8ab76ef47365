"""A window that shows images."""

# h and w the height and width of an image

import os
import subprocess
import sys
import time
from collections import deque
from typing import final

import cv2
from jaxtyping import UInt8
from numpy import ndarray

from vision.draw import Style
from vision.errors import ConfigError

_GREY = (64, 64, 64)
_QUIT = frozenset({27, ord("q")})  # 27 is Escape
_WAIT_MS = 1
_TRY_SECONDS = 30
_AVERAGED = 30
"""Number of images over which the rate is averaged."""


@final
class Window:
    """A window that shows one image at a time, and the number of images per second.

    Raises:
        ConfigError: If no window can be opened: in a notebook, on a machine without a display, or
            with an OpenCV that was built without windows.
    """

    def __init__(self, title: str) -> None:
        if reason := _why_not():
            raise ConfigError(f"--show cannot be used: {reason}")
        self._title = title
        self._times = deque[float](maxlen=_AVERAGED)
        cv2.namedWindow(title, cv2.WINDOW_NORMAL)

    def show(self, image: UInt8[ndarray, "h w 3"]) -> None:
        """Show an RGB image.

        Raises:
            KeyboardInterrupt: If q or Escape has been pressed.
        """
        self._times.append(time.perf_counter())
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        if len(self._times) > 1:
            rate = (len(self._times) - 1) / (self._times[-1] - self._times[0])
            text, style = f"{rate:.1f} frames/s", Style.for_image(bgr)
            height, width = style.tag_size(text)
            style.draw_tag(
                bgr, text, (0, bgr.shape[0] - height, width - 1, bgr.shape[0] - 1), _GREY
            )
        cv2.imshow(self._title, bgr)
        if cv2.waitKey(_WAIT_MS) & 0xFF in _QUIT:
            raise KeyboardInterrupt


def _why_not() -> str:
    """Explain why no window can be opened, and what to do; empty if one can be opened."""
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    reason = "there is no display, as on servers and in containers"
    if sys.platform != "linux" or display:
        error = _try_window()
        if error is None:
            return ""
        if b"not implemented" in error:
            return "this OpenCV has no windows; install opencv-python, not opencv-python-headless"
        reason = f"the display {display} cannot be opened"
    if {"JPY_PARENT_PID", "COLAB_RELEASE_TAG"} & set(os.environ):
        reason = "this notebook's machine has no display"
    return f"{reason}; omit --show, and look at the pictures in the folder of --out"


def _try_window() -> bytes | None:
    """Open a window; return the error message if that fails, else None.

    A separate process tries it, because the library aborts its process if there is no display.
    """
    code = "import cv2; cv2.namedWindow('ssdlite'); cv2.waitKey(1)"
    try:
        tried = subprocess.run(  # noqa: S603
            [sys.executable, "-c", code], capture_output=True, timeout=_TRY_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return b""
    return tried.stderr if tried.returncode else None
