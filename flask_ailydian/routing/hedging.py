"""A second backend for those whom the first keeps waiting: the first good answer wins.

What was asked for is paid for: the slow call goes on, is settled when it ends, and its cost stands
beside that of the answer that was given.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import logging
import queue
import threading
import time
import typing as t

from ..errors import Timeout
from .backends.base import BackendFailure
from .turn import Turn

log = logging.getLogger("flask_ailydian.router")

Pieces = c.Generator[str, None, None]
#: What a call came to: a piece of its answer, its failure, or its end.
Said = str | Exception | None

#: Slow calls that one process leaves behind at once; beyond them nobody is hedged.
MOST_LEFT_BEHIND = 32
SLOW = "slow"


class Hedging:
    """Asks the local model when the paid backend has not said a word for a while.

    :param seconds: How long that is; 0: nobody is hedged.
    :param settled: Commits a query's costs once more, when the call left behind has ended.
    :param patience: How long a call left behind waits for its query's own record.
    """

    def __init__(
        self, seconds: float, settled: c.Callable[[Turn], None], *, patience: float
    ) -> None:
        self._seconds = seconds
        self._settled = settled
        self._patience = patience
        self._room = threading.BoundedSemaphore(MOST_LEFT_BEHIND)

    def ask(
        self,
        turn: Turn,
        paid: c.Callable[[], Pieces],
        local: c.Callable[[], Pieces],
        deadline: float,
        app: t.Any,
    ) -> Pieces:
        """Yield the answer of *paid*, or that of *local* when it comes first and is sure.

        :param paid: Runs in a thread of its own, within the context of *app*.
        """
        if not self._seconds or not self._room.acquire(blocking=False):
            yield from paid()
            return
        call = _Call(turn, paid, self._end)
        threading.Thread(target=call.run, args=(app,), daemon=True).start()
        try:
            if (said := call.first(self._seconds, deadline)) is not call:
                yield from _rest(call, t.cast(Said, said), deadline)
                return
            with contextlib.suppress(BackendFailure):
                answer = "".join(local())
                if (said := call.next(0)) is call:
                    turn.hedged, turn.tried["3rdparty"] = True, SLOW
                    yield answer
                    return
                yield from _rest(call, t.cast(Said, said), deadline)
                return
            yield from _rest(call, _due(call, deadline), deadline)
        finally:
            call.leave()

    def _end(self, turn: Turn) -> None:
        self._room.release()
        # The query's own record comes first; it may have the worst case in it.
        if turn.recorded.wait(self._patience):
            try:
                self._settled(turn)
            except Exception as error:
                log.error("query %s keeps its worst case: %s", turn.id, type(error).__name__)


class _Call:
    """A backend that is asked in a thread; what it says waits in a queue."""

    def __init__(
        self, turn: Turn, paid: c.Callable[[], Pieces], end: c.Callable[[Turn], None]
    ) -> None:
        self._turn = turn
        self._paid = paid
        self._end = end
        self._said: queue.SimpleQueue[Said] = queue.SimpleQueue()
        self._left = threading.Event()

    def run(self, app: t.Any) -> None:
        """Ask, until there is no more or nobody listens."""
        with app.app_context():
            failure: Exception | None = None
            try:
                with contextlib.closing(self._paid()) as pieces:
                    for piece in pieces:
                        if self._left.is_set():
                            break
                        self._said.put(piece)
            except Exception as error:
                failure = error
            self._said.put(failure)
            self._end(self._turn)

    def first(self, seconds: float, deadline: float) -> Said | _Call:
        """Return what is said within so many seconds of the text's leaving, as :meth:`next`."""
        while not self._turn.leaving.is_set() and time.monotonic() < deadline:
            if (said := self.next(0.005)) is not self:
                return said
        return self.next(seconds)

    def next(self, seconds: float) -> Said | _Call:
        """Return what is said within so many seconds, or the call itself when that is nothing."""
        try:
            return self._said.get(timeout=seconds) if seconds > 0 else self._said.get_nowait()
        except queue.Empty:
            return self

    def leave(self) -> None:
        """Listen no more."""
        self._left.set()


def _due(call: _Call, deadline: float) -> Said:
    said = call.next(max(deadline - time.monotonic(), 0.001))
    if said is call:
        raise Timeout()
    return t.cast(Said, said)


def _rest(call: _Call, said: Said, deadline: float) -> Pieces:
    while said is not None:
        if isinstance(said, Exception):
            raise said
        yield said
        said = _due(call, deadline)
