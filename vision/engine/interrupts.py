"""SIGTERM, SIGHUP and Ctrl-C: finish the step, save and exit; outside of steps, exit at once."""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from vision.errors import Interrupted

logger = logging.getLogger(__name__)

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP.


class Interrupts:
    """The signals that a run has received.

    Attributes:
        number: The number of the last signal; None if there was none.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._is_held = False

    def note(self, number: int, _: FrameType | None) -> None:
        """Handle a signal; Ctrl-C after an earlier signal raises KeyboardInterrupt at once."""
        if self.number is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.number = number
        if not self._is_held:
            self.leave()
        name = signal.Signals(number).name
        logger.info("%s: saving after this step, then exiting; Ctrl-C again exits at once", name)

    @contextmanager
    def held(self, *, is_held: bool = True) -> Iterator[None]:
        """A context in which a signal is only remembered, so that the step is finished first."""
        before, self._is_held = self._is_held, is_held
        try:
            yield
        finally:
            self._is_held = before

    @contextmanager
    def let_through(self) -> Iterator[None]:
        """A context in which a signal ends the run at once, since everything is saved.

        Raises:
            Interrupted: If a signal has arrived before.
        """
        if self.number is not None:
            self.leave()
        with self.held(is_held=False):
            yield

    def leave(self) -> None:
        """Raise `Interrupted`, with SIGTERM if only another process has received a signal."""
        raise Interrupted(self.number or signal.SIGTERM)


@contextmanager
def caught_interrupts() -> Iterator[Interrupts]:
    """Handle SIGTERM, SIGHUP and Ctrl-C within the context, if it runs in the main thread.

    Signals that the process ignores from its start, for instance under ``nohup``, stay ignored.
    """
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    numbers = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    before = {number: handler for number, handler in before.items() if handler != signal.SIG_IGN}
    for number in before:
        signal.signal(number, interrupts.note)
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
