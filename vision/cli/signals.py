"""SIGTERM and SIGHUP as exceptions, so that they end a command in the same way as Ctrl-C."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from vision.errors import Signalled

NAMES = ("SIGTERM", "SIGHUP")  # Windows has no SIGHUP.


@contextmanager
def raised_signals() -> Iterator[None]:
    """Raise `Signalled` at the first SIGTERM or SIGHUP in the context, and ignore later ones.

    Later ones are ignored because files are being completed; Ctrl-C still ends the process. A
    signal that the process was started to ignore, as with ``nohup``, stays ignored. In another
    thread than the main one, the context does nothing, because no signal arrives there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    is_raised = False

    def handle(number: int, _: FrameType | None) -> None:
        nonlocal is_raised
        if not is_raised:
            is_raised = True
            raise Signalled(number)

    numbers = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    handled = [number for number, handler in before.items() if handler == signal.SIG_DFL]
    for number in handled:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, before[number])
