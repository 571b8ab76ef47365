"""The markers of JPEG files, and whether a file's end is missing."""

import re

JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")  # except those without a length


def is_truncated(data: bytes) -> bool:
    """Whether a JPEG ends before its end marker, which some decoders do not report.

    The search goes from marker to marker, since a thumbnail inside the file has its own end marker
    and the data after the end (the video of a phone's live photo) may contain any bytes.
    """
    if not data.startswith(JPEG_START):
        return False
    position = len(JPEG_START)
    while marker := _MARKER.search(data, position):
        if marker.group() == JPEG_END:
            return False
        position = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
    return True
