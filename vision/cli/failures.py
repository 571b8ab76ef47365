"""Errors of commands, told apart into one line for the user or a bug, and closed streams."""

import os
import sys
from contextlib import suppress
from typing import TextIO

from vision.errors import VisionError, first_line

USER_ERROR = 2
BUG = 70
"""Exit code of a bug, EX_SOFTWARE of sysexits.h, which differs from that of a failed input."""
CLOSED_PIPE = 141
"""Exit code if the reader of the output has closed the pipe, as of a process ended by SIGPIPE."""
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
    """Explain an error that has a cause outside ssdlite and was not caught where it arose."""
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
        remedy = "close other programs, or use a smaller batch or fewer workers"
        return f"not enough memory or threads ({reason}); {remedy}", USER_ERROR
    return None


def open_missing_streams() -> None:
    """Discard what is written to standard output or error if the caller has closed it."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123


def flush_streams() -> None:
    """Write out the buffered text of standard output.

    Raises:
        OSError: If that fails; the text is dropped, so that the exit of the process does not try
            to write it again.
    """
    try:
        sys.stdout.flush()
    except OSError:
        _forget(sys.stdout)
        raise


def _forget(stream: TextIO) -> None:
    with suppress(OSError):  # a test's stream has no file descriptor
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, stream.fileno())
        os.close(descriptor)
