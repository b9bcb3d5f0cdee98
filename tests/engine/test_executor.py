"""Slots: in order, bounded, before the deadline, for callers who are still there."""

from __future__ import annotations

import threading
import time
import typing as t

import pytest

from flask_ailydian.engine.executor import Executor
from flask_ailydian.engine.executor import Gate
from flask_ailydian.errors import ClientGone
from flask_ailydian.errors import Overloaded
from flask_ailydian.errors import Timeout


def later(seconds: float = 30) -> float:
    return time.monotonic() + seconds


def until(condition: t.Callable[[], bool]) -> None:
    end = later(10)
    while not condition():
        assert time.monotonic() < end, "this never happened"
        time.sleep(0.002)


class Holder:
    """Takes a slot on a thread of its own and keeps it until it is told to let go."""

    def __init__(self, executor: Executor, order: list[int] | None = None, name: int = 0) -> None:
        self.release = threading.Event()
        self.inside = threading.Event()
        self.alone = False
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._run, args=(executor, order, name))
        self.thread.start()

    def _run(self, executor: Executor, order: list[int] | None, name: int) -> None:
        try:
            with executor.admitted(later()) as place, place.running() as alone:
                self.alone = alone
                if order is not None:
                    order.append(name)
                self.inside.set()
                self.release.wait(30)
        except Exception as error:
            self.error = error

    def end(self) -> None:
        self.release.set()
        self.thread.join(30)
        assert self.error is None


def test_who_is_alone_is_told_and_may_use_every_core() -> None:
    executor = Executor(2, 8)
    first = Holder(executor)
    assert first.inside.wait(10) and first.alone
    second = Holder(executor)
    assert second.inside.wait(10) and not second.alone
    first.end()
    second.end()


def test_slots_go_to_callers_in_the_order_in_which_they_came() -> None:
    executor, order = Executor(1, 100), list[int]()
    holder = Holder(executor)
    assert holder.inside.wait(10)
    waiters = []
    for name in range(20):
        waiters.append(Holder(executor, order, name))
        until(lambda: len(executor.runners._waiting) == len(waiters))
        waiters[-1].release.set()
    holder.end()
    for waiter in waiters:
        waiter.thread.join(30)
    assert order == list(range(20))


def test_a_newcomer_never_overtakes_who_was_handed_the_slot() -> None:
    gate = Gate(1)
    gate.enter(later())
    taken = []
    waiter = threading.Thread(target=lambda: taken.append(gate.enter(later())))
    waiter.start()
    until(lambda: gate.crowded)
    gate.leave()
    # The slot belongs to the waiter already, whether or not its thread has woken up.
    with pytest.raises(Timeout):
        gate.enter(time.monotonic())
    waiter.join(10)
    # Nobody has the other slots, because there are none.
    assert taken == [True]


def test_who_waited_and_finds_the_others_gone_is_alone_as_well() -> None:
    gate, taken = Gate(2), list[bool]()
    assert gate.enter(later()) and not gate.enter(later())
    waiter = threading.Thread(target=lambda: taken.append(gate.enter(later())))
    waiter.start()
    until(lambda: gate.crowded)
    gate.leave()
    waiter.join(10)
    assert taken == [False]
    gate.leave()
    gate.leave()
    assert gate.enter(later())


def test_a_full_queue_refuses_at_once_and_says_when_to_come_again() -> None:
    executor = Executor(1, 1)
    executor.note(0.0, 2.0, True)
    holder, waiter = Holder(executor), Holder(executor)
    assert holder.inside.wait(10)
    until(lambda: executor.runners.crowded)
    started = time.monotonic()
    with pytest.raises(Overloaded) as caught, executor.admitted(later()):
        pass
    assert time.monotonic() - started < 1
    # Two are ahead of the one who asks, at two seconds each.
    assert caught.value.retry_after == 4
    holder.end()
    waiter.end()


def test_work_that_cannot_be_done_in_time_is_refused_when_it_comes() -> None:
    executor = Executor(1, 100)
    executor.note(0.0, 1.0, True)
    holder = Holder(executor)
    assert holder.inside.wait(10)
    with pytest.raises(Overloaded), executor.admitted(later(1.5)):
        pass
    with executor.admitted(later(4)):
        pass
    holder.end()
    with executor.admitted(later(0.5)):
        pass


def test_a_deadline_that_passes_in_the_queue_leaves_the_work_undone() -> None:
    executor = Executor(1, 8)
    holder = Holder(executor)
    assert holder.inside.wait(10)
    done = []
    with pytest.raises(Timeout), executor.admitted(later(0.05)) as place, place.running():
        done.append(1)
    holder.end()
    assert not done and executor.inside == 0
    with executor.admitted(later()) as place, place.running() as alone:
        assert alone


def test_a_caller_who_is_gone_is_noticed_before_decoding_and_before_running() -> None:
    executor, done = Executor(1, 8), []
    with pytest.raises(ClientGone), executor.admitted(later(), lambda: True) as place:
        with place.decoding():
            done.append("decoded")
    with pytest.raises(ClientGone), executor.admitted(later(), lambda: True) as place:
        with place.running():
            done.append("run")
    assert not done
    with executor.admitted(later(), lambda: False) as place, place.running() as alone:
        assert alone


def test_a_failed_run_gives_its_slot_back() -> None:
    executor = Executor(1, 0)
    for _ in range(3):
        with pytest.raises(KeyError), executor.admitted(later()) as place:
            with place.decoding(), place.running():
                raise KeyError
    assert executor.inside == 0


def test_no_more_decode_at_once_than_there_are_slots() -> None:
    executor, most, now, lock = Executor(2, 100), [0], [0], threading.Lock()

    def decode() -> None:
        with executor.admitted(later()) as place, place.decoding():
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            time.sleep(0.01)
            with lock:
                now[0] -= 1

    threads = [threading.Thread(target=decode) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert most == [2]


def test_the_expected_wait_grows_with_who_is_ahead() -> None:
    executor = Executor(2, 100)
    assert executor.expected_wait() == 0
    executor.note(0.0, 0.5, False)
    holders = [Holder(executor) for _ in range(4)]
    until(lambda: executor.inside == 4)
    # The fifth waits for three ends of half a run each.
    assert executor.expected_wait() == pytest.approx(3 * 0.25)
    for holder in holders:
        holder.release.set()
    for holder in holders:
        holder.thread.join(30)
