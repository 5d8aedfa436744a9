import signal

import pytest

from consumer.interrupts import held_back


def begin(begun, number):
    with held_back():
        signal.raise_signal(number)
        begun.append("process")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_waits_until_what_was_begun_can_be_ended(number):
    before, begun = signal.getsignal(number), []
    with pytest.raises(KeyboardInterrupt):
        begin(begun, number)
    assert begun == ["process"]
    assert signal.getsignal(number) is before


def test_an_error_ends_the_wait_too():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(FileNotFoundError), held_back():
        raise FileNotFoundError
    assert signal.getsignal(signal.SIGTERM) is before
