"""SIGTERM and Ctrl-C: finish the step, save, leave."""

# Outside the steps nothing is lost by leaving at once.

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from vision.errors import Interrupted

__all__ = ["Interrupts", "caught_interrupts"]

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Signals that came in.

    Attributes:
        number: The first one's; None as long as there is none.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._is_held = False

    def note(self, number: int, _: FrameType | None) -> None:
        """Take note of a signal; a second Ctrl-C does not wait."""
        if self.number is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.number = number
        if not self._is_held:
            self.leave()
        name = signal.Signals(number).name
        logger.info("%s: saving after this step, then leaving; Ctrl-C once more: at once", name)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within, keep a signal in mind only."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False

    @contextmanager
    def let_through(self) -> Iterator[None]:
        """Within, leave at once: all is saved."""
        if self.number is not None:
            self.leave()
        was_held, self._is_held = self._is_held, False
        try:
            yield
        finally:
            self._is_held = was_held

    def leave(self) -> None:
        """Raise what a caught signal means.

        Raises:
            Interrupted: Always.
        """
        raise Interrupted(self.number or signal.SIGTERM)


@contextmanager
def caught_interrupts() -> Iterator[Interrupts]:
    """Take both signals within; outside the main thread none arrive."""
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    before = {number: signal.signal(number, interrupts.note) for number in SIGNALS}
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
