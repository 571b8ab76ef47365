"""What a command's error is to its user: one line, or a bug; and streams that are closed."""

import os
import sys
from contextlib import suppress
from typing import TextIO

from vision.errors import VisionError, first_line

USER_ERROR = 2
BUG = 70
"""Exit code of a bug, EX_SOFTWARE of sysexits.h: another than that of a failed input."""
CLOSED_PIPE = 141
"""Exit code of a command whose reader has closed the pipe: that of SIGPIPE."""
_NO_MEMORY = (
    "can't allocate memory",
    "out of memory",
    "Unable to allocate",
    "can't start new thread",
)


def explain_failure(error: Exception) -> tuple[str, int] | None:
    """The line that explains an error to the user, and the exit code; None for a bug."""
    if isinstance(error, VisionError):
        return str(error), USER_ERROR
    missing = (error.name or "vision") if isinstance(error, ModuleNotFoundError) else "vision"
    if missing.partition(".")[0] != "vision":
        text = f"the package {missing} is not installed; in ssdlite's folder, run"
        return f"{text} pip install -e .", USER_ERROR
    if "operator torchvision::" in str(error):
        text = "torchvision was built for another version of PyTorch; install both together, from"
        return f"{text} one index: pip install --force-reinstall torch torchvision", USER_ERROR
    return _explain_other(error)


def _explain_other(error: Exception) -> tuple[str, int] | None:
    """What may come from outside, but was not expected where it came up."""
    kind = type(error).__name__
    if isinstance(error, BrokenPipeError):
        return "", CLOSED_PIPE
    if isinstance(error, OSError):
        place = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        return f"{place[:300]}{error.strerror or str(error) or kind}", USER_ERROR
    if isinstance(error, UnicodeError):
        return f"a file or a name is not UTF-8 text: {str(error)[:300]}", USER_ERROR
    if isinstance(error, RecursionError):
        return "a file or a value is nested too deeply", USER_ERROR
    if isinstance(error, MemoryError) or any(text in str(error) for text in _NO_MEMORY):
        reason = first_line(error)[:300]
        remedy = "close other programs, or take less"
        return f"memory or threads do not suffice ({reason}); {remedy}", USER_ERROR
    return None


def open_missing_streams() -> None:
    """Let standard output and error lead nowhere where the caller has closed them."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123


def flush_streams() -> None:
    """Write out what standard output holds back.

    Raises:
        OSError: If that fails; it is forgotten, so that the end of the process does not try again.
    """
    try:
        sys.stdout.flush()
    except OSError:
        _forget(sys.stdout)
        raise


def _forget(stream: TextIO) -> None:
    with suppress(OSError):  # a stream of a test has no descriptor
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, stream.fileno())
        os.close(descriptor)
