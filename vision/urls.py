"""URLs that users name: reading them, and masking their secrets in messages."""

import re
import time
from base64 import b64encode
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from vision.errors import DataError

MAX_BYTES = 50 * 10**6
"""Maximum size of an answer, in bytes."""
MAX_SECONDS = 60.0
"""Maximum time for a complete answer, in seconds."""
_SILENCE = 15.0
"""Maximum time without receiving a byte, in seconds."""
_CHUNK = 1 << 16
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def is_url(text: str) -> bool:
    """Whether a text begins like a URL: ``https://``, ``rtsp://``, ..."""
    return _URL.match(text) is not None


def mask_url(url: str, *, in_path: bool = True) -> str:
    """Mask a URL's secrets: user and password, query, fragment, and values in its path.

    Invalid URLs, and URLs that `pathlib.Path` has shortened to ``http:/``, are masked too.
    """
    url = re.sub(r"(:/+)(?:[^/?#]*|[^/?#@]*:.*)@", r"\1***@", url)
    url = re.sub(r"[?#].*", lambda found: f"{found[0][0]}***", url, flags=re.DOTALL)
    return re.sub(r"=[^&;/?#]*", "=***", url) if in_path else url


def read_url(url: str, max_bytes: int = MAX_BYTES, max_seconds: float = MAX_SECONDS) -> bytes:
    """Read what a server sends for an ``http`` or ``https`` URL.

    Args:
        url: The address; errors name it without its secrets.
        max_bytes: Maximum size of the answer.
        max_seconds: Maximum time for the complete answer.

    Raises:
        DataError: If the URL has another scheme or is not valid, the server cannot be reached or
            refuses, or the answer is too large or too slow.
    """
    name = f"address {mask_url(url)}"
    request = _request(url, name)
    deadline = time.monotonic() + max_seconds
    content = bytearray()
    try:
        opener = build_opener(_Redirect)
        with opener.open(request, timeout=min(_SILENCE, max_seconds)) as answer:
            while chunk := answer.read1(_CHUNK):
                content += chunk
                if len(content) > max_bytes:
                    raise DataError(f"{name} has more than the {max_bytes:,} bytes that are read")
                if time.monotonic() > deadline:
                    raise DataError(f"{name} takes more than {max_seconds:g} seconds")
    except HTTPError as error:
        error.close()
        raise DataError(f"{name} cannot be read: {error.code} {error.reason}") from error
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(error, DataError):
            raise
        reason = error.reason if isinstance(error, URLError) else error
        raise DataError(f"{name} cannot be read: {reason or type(error).__name__}") from error
    return bytes(content)


class _Redirect(HTTPRedirectHandler):
    """Follow redirects; user and password are not sent to another host, nor without encryption."""

    def redirect_request(self, req: Request, *args: Any) -> Request | None:  # noqa: ANN401
        """Create the next request."""
        following = super().redirect_request(req, *args)
        if following and (following.host, following.type) not in {
            (req.host, req.type),
            (req.host, "https"),
        }:
            following.remove_header("Authorization")
        return following


def _request(url: str, name: str) -> Request:
    """Create the request for a URL; user and password become a header, as HTTP requires."""
    headers = {"User-Agent": "ssdlite"}
    try:
        parts = urlsplit(url)
        scheme, host = parts.scheme, parts.hostname
    except ValueError as error:
        raise DataError(f"{name} is not a URL: {error}") from error
    if scheme not in {"http", "https"} or not host:
        raise DataError(f"{name}: expected http://HOST/... or https://HOST/...")
    user, sign, place = parts.netloc.rpartition("@")
    if sign:
        headers["Authorization"] = f"Basic {b64encode(unquote(user).encode()).decode()}"
    address = parts._replace(netloc=place).geturl()
    return Request(address, headers=headers)  # noqa: S310 - checked above
