"""What a signal does, and when."""

import os
import signal

import pytest

from vision.engine.interrupts import caught_interrupts
from vision.errors import Interrupted


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_outside_the_steps_a_signal_ends_at_once(number: signal.Signals) -> None:
    with caught_interrupts() as interrupts:
        with interrupts.held():
            pass
        with pytest.raises(Interrupted) as caught:
            os.kill(os.getpid(), number)
    assert caught.value.number == number


def test_within_it_is_kept_in_mind_and_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"), caught_interrupts() as interrupts, interrupts.held():
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupts.number == signal.SIGTERM
        assert "SIGTERM: saving after this step" in caplog.text
        with pytest.raises(Interrupted), interrupts.let_through():
            pytest.fail("what came in before ends it before it begins")


def test_while_all_is_saved_it_ends_at_once_and_later_no_more() -> None:
    with caught_interrupts() as interrupts, interrupts.held():
        with pytest.raises(Interrupted), interrupts.let_through():
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_second_ctrl_c_does_not_wait() -> None:
    with caught_interrupts() as interrupts, interrupts.held():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt) as caught:
            os.kill(os.getpid(), signal.SIGINT)
    assert not isinstance(caught.value, Interrupted)


def test_the_handlers_of_before_come_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with caught_interrupts():
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_what_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with caught_interrupts() as interrupts:
            os.kill(os.getpid(), signal.SIGHUP)
            assert interrupts.number is None
    finally:
        signal.signal(signal.SIGHUP, before)
