"""URLs of streams and numbers of cameras, and the names of their results."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from vision.errors import DataError
from vision.urls import is_url, mask_url

_MAX_DIGITS = 3
"""Maximum number of digits of a camera's number."""
_MAX_NAME = 200
"""Maximum number of characters in a file name made from a URL; file systems allow 255 in all."""


def read_address(text: str, folder: Path) -> tuple[str | int, str, Path] | None:
    """Parse the URL of a stream, or the number of a camera if no file has it as its name.

    Returns:
        The address, its name without secrets, and the path of its result; None if the text is
        neither a URL nor a number, or if it is the name of a file in ``folder``.

    Raises:
        DataError: If the URL is invalid, or the number is too long.
    """
    if is_url(text):
        return text, mask_url(text), Path(f"{url_file_name(text)}.mp4")
    if not (text.isdecimal() and text.isascii()):
        return None
    if len(text) > _MAX_DIGITS:
        if len(text) < _MAX_NAME and (folder / text).exists():
            return None
        raise DataError(f"camera {text[:20]}: camera numbers have at most {_MAX_DIGITS} digits")
    return None if (folder / text).exists() else (int(text), text, Path(f"camera_{text}.mp4"))


def url_file_name(url: str) -> str:
    """Make a file name from a URL, without its secrets.

    Raises:
        DataError: If the URL is invalid.
    """
    masked = mask_url(url)
    try:
        parts = urlsplit(masked)
    except ValueError as error:
        raise DataError(f"address {masked} is not a URL: {error}") from error
    name = re.sub(r"[^A-Za-z0-9]+", "_", f"{parts.hostname or ''}{parts.path}")
    return name.strip("_")[:_MAX_NAME] or "stream"
