"""URLs of streams and numbers of cameras, and names of their results."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from vision.errors import DataError
from vision.urls import is_url, mask_url

_MAX_DIGITS = 3
"""Maximum number of digits of a camera's number."""
_MAX_NAME = 200
"""Maximum number of characters of a file name made of a URL; file systems take 255 in all."""


def read_address(text: str, folder: Path) -> tuple[str | int, str, Path] | None:
    """The address of a stream or camera, its name without secrets, and the path of its result.

    Returns:
        None if the text is neither a URL, nor a number that no file in ``folder`` has as its name.

    Raises:
        DataError: If it is a URL or a number that cannot be used.
    """
    if is_url(text):
        return text, mask_url(text), Path(f"{url_file_name(text)}.mp4")
    if not (text.isdecimal() and text.isascii()):
        return None
    if len(text) > _MAX_DIGITS:
        if len(text) < _MAX_NAME and (folder / text).exists():
            return None
        raise DataError(f"camera {text[:20]}: its number has more than {_MAX_DIGITS} digits")
    return None if (folder / text).exists() else (int(text), text, Path(f"camera_{text}.mp4"))


def url_file_name(url: str) -> str:
    """A file name for a URL, without its secrets.

    Raises:
        DataError: If it is not a URL.
    """
    masked = mask_url(url)
    try:
        parts = urlsplit(masked)
    except ValueError as error:
        raise DataError(f"address {masked} is not a URL: {error}") from error
    name = re.sub(r"[^A-Za-z0-9]+", "_", f"{parts.hostname or ''}{parts.path}")
    return name.strip("_")[:_MAX_NAME] or "stream"
