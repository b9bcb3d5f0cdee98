"""Work ends when its deadline passes or its caller goes, and the thread sleeps meanwhile."""

from __future__ import annotations

import select
import socket
import threading
import time
import typing as t

import pytest

from flask_ailydian.engine import hangups
from flask_ailydian.engine import watchdog as module
from flask_ailydian.engine.watchdog import Watchdog

FAR = 1e9


class Caller:
    """One whose hanging up the system tells of; counts how often it is asked."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.asked = 0

    def fileno(self) -> int:
        return self._connection.fileno()

    def __call__(self) -> bool:
        self.asked += 1
        poll = select.poll()
        poll.register(self._connection, select.POLLRDHUP | select.POLLHUP)
        return bool(poll.poll(0))


@pytest.fixture(params=["told", "asking"])
def dog(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Watchdog:
    if request.param == "asking":
        monkeypatch.setattr(module, "sleeper", hangups._Clock)
    elif not hasattr(select, "epoll"):
        pytest.skip("only Linux tells of connections that end")
    return Watchdog()


@pytest.fixture
def pair() -> t.Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_a_deadline_ends_what_is_watched_and_no_other(dog: Watchdog) -> None:
    ended, other = threading.Event(), threading.Event()
    dog.watch(time.monotonic() + FAR, other.set)
    dog.watch(time.monotonic() + 0.05, ended.set)
    assert ended.wait(10)
    assert not other.is_set()


def test_what_was_called_off_is_not_ended(dog: Watchdog) -> None:
    ended, later = threading.Event(), threading.Event()
    moment = time.monotonic()
    dog.call_off(dog.watch(moment + 0.05, ended.set))
    dog.watch(moment + 0.1, later.set)
    assert later.wait(10)
    assert not ended.is_set()


def test_a_caller_that_goes_ends_every_work_of_its_own(
    dog: Watchdog, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    caller = Caller(ours)
    done, one, two = (threading.Event() for _ in range(3))
    deadline = time.monotonic() + FAR
    dog.call_off(dog.watch(deadline, done.set, caller))
    dog.watch(deadline, one.set, caller)
    dog.watch(deadline, two.set, caller)
    # What it sends besides is no reason to end anything.
    theirs.send(b"more")
    theirs.shutdown(socket.SHUT_WR)
    assert one.wait(10) and two.wait(10)
    assert not done.is_set()


def test_a_caller_that_cannot_be_told_of_is_asked(dog: Watchdog) -> None:
    gone, ended = threading.Event(), threading.Event()
    dog.watch(time.monotonic() + FAR, ended.set, gone.is_set)
    assert not ended.wait(0.05)
    gone.set()
    assert ended.wait(10)


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="only Linux tells of ends")
def test_a_caller_that_stays_is_not_asked_over_and_over(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    caller, dog = Caller(pair[0]), Watchdog()
    tickets = [dog.watch(time.monotonic() + FAR, print, caller) for _ in range(3)]
    time.sleep(20 * module.TICK)
    assert caller.asked < 10
    for ticket in tickets:
        dog.call_off(ticket)
