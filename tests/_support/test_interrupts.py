import os
import signal
import threading

import pytest

from wsis._support.interrupts import held_back


def press():
    os.kill(os.getpid(), signal.SIGINT)


def twice():
    with held_back() as came:
        assert not came()
        press()
        assert came()
        press()


def test_the_first_is_held_back_and_the_second_comes_through():
    before = signal.getsignal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        twice()

    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_and_handlers_are_left_alone():
    seen = []

    def work():
        with held_back() as came:
            seen.append(came())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    before = signal.signal(signal.SIGINT, lambda *given: seen.append(given[0]))
    try:
        with held_back() as came:
            press()
            seen.append(came())
    finally:
        signal.signal(signal.SIGINT, before)

    assert seen == [False, signal.SIGINT, False]
