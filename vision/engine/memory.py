"""What the C library does with memory that tensors give back."""

import ctypes

__all__ = ["keep_freed_memory"]

# glibc, malloc.h
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees, for the next step of training.

    A step on the CPU allocates each map anew. By default glibc takes large blocks from the system
    and returns them at once, and the system clears every page again: at a batch of 32 and 320
    pixels that took half of the time. Where the C library is another, nothing is changed.

    Returns:
        Whether the C library agreed.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, _LARGEST))
