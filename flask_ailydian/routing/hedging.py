"""A second backend for those whom the first keeps waiting: the first good answer wins.

What was asked for is paid for: the slow call goes on, is settled when it ends, and its cost stands
beside that of the answer that was given.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import dataclasses
import logging
import queue
import threading
import time
import typing as t

from ..errors import AuditUnavailable
from ..errors import ClientGone
from ..errors import Timeout
from .policy import ONNX
from .records import word_of
from .turn import Turn

log = logging.getLogger("flask_ailydian.router")

Pieces = c.Generator[str, None, None]
#: What a call came to: a piece of its answer, its failure, or its end.
Said = str | Exception | None

#: Slow calls that one process leaves behind at once; beyond them nobody is hedged.
MOST_LEFT_BEHIND = 32
SLOW = "slow"
#: Failures after which nobody else is asked either.
FINAL = (AuditUnavailable, ClientGone)


@dataclasses.dataclass(frozen=True)
class Asking:
    """A backend by its name in answers, and what asks it: perhaps in a thread of its own."""

    name: str
    ask: c.Callable[[], Pieces]


class Hedging:
    """Asks a second backend when the first has not said a word for a while.

    :param seconds: How long that is; 0: nobody is hedged.
    :param settled: Commits a query's costs once more, when a call left behind has ended.
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
        self, turn: Turn, first: Asking, second: Asking | None, deadline: float, app: t.Any
    ) -> Pieces:
        """Yield the answer of *first*, or that of *second* when it comes first.

        Each runs in a thread of its own, within the context of *app*. Who stood in is named in
        ``turn.hedged``, and who of the two gave no answer in ``turn.tried``.

        :raises Exception: what the last of them failed with.
        """
        if second is None or not self._seconds or not self._room.acquire(blocking=False):
            yield from first.ask()
            return
        turn.leaving.clear()
        race = _Race(turn, app, deadline)
        race.start(first, self._end)
        try:
            if not race.heard(self._seconds) and self._may_start(second):
                race.start(second, self._end if second.name != ONNX else None)
            yield from race.answer()
        finally:
            race.leave()

    def _may_start(self, second: Asking) -> bool:
        # The local model has bounds of its own.
        return second.name == ONNX or self._room.acquire(blocking=False)

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

    def __init__(self, asking: Asking, said: queue.SimpleQueue[tuple[_Call, Said]]) -> None:
        self.name = asking.name
        self._ask = asking.ask
        self._said = said
        self._left = threading.Event()

    def run(self, app: t.Any, end: c.Callable[[], None]) -> None:
        """Ask, until there is no more or nobody listens."""
        with app.app_context():
            failure: Exception | None = None
            try:
                with contextlib.closing(self._ask()) as pieces:
                    for piece in pieces:
                        if self._left.is_set():
                            break
                        self._said.put((self, piece))
            except Exception as error:
                failure = error
            self._said.put((self, failure))
            end()

    def leave(self) -> None:
        """Listen no more."""
        self._left.set()


class _Race:
    """The calls of one query, the first of which was asked before the others."""

    def __init__(self, turn: Turn, app: t.Any, deadline: float) -> None:
        self._turn = turn
        self._app = app
        self._deadline = deadline
        self._calls: list[_Call] = []
        self._said: queue.SimpleQueue[tuple[_Call, Said]] = queue.SimpleQueue()
        self._waiting: list[tuple[_Call, Said]] = []

    def start(self, asking: Asking, end: c.Callable[[Turn], None] | None) -> None:
        """Ask one more.

        :param end: Called when it has ended.
        """
        call = _Call(asking, self._said)
        self._calls.append(call)
        over = (lambda: end(self._turn)) if end is not None else (lambda: None)
        threading.Thread(target=call.run, args=(self._app, over), daemon=True).start()

    def heard(self, seconds: float) -> bool:
        """Whether anything is said within so many seconds of the text's leaving."""
        while not self._turn.leaving.is_set() and time.monotonic() < self._deadline:
            if self._listen(0.005):
                return True
        return self._listen(seconds)

    def answer(self) -> Pieces:
        """Yield the answer of the first call that has one.

        :raises Exception: what the last of them failed with, or :class:`Timeout`.
        """
        first, running = self._calls[0], list(self._calls)
        call, said = self._next(running)
        while isinstance(said, Exception):
            running.remove(call)
            self._gave_none(call, word_of(said))
            if not running or isinstance(said, FINAL):
                raise said
            call, said = self._next(running)
        if call is not first:
            self._turn.hedged = call.name
            self._gave_none(first, SLOW)
        for other in running:
            if other is not call:
                other.leave()
        while said is not None:
            if isinstance(said, Exception):
                raise said
            yield said
            _, said = self._next([call])

    def leave(self) -> None:
        """Listen to nobody any more."""
        for call in self._calls:
            call.leave()

    def _gave_none(self, call: _Call, why: str) -> None:
        # The local model may be asked again, when nobody better is left.
        if call.name != ONNX:
            self._turn.tried.setdefault(call.name, why)

    def _listen(self, seconds: float) -> bool:
        try:
            self._waiting.append(self._said.get(timeout=max(seconds, 0.001)))
        except queue.Empty:
            return False
        return True

    def _next(self, running: list[_Call]) -> tuple[_Call, Said]:
        """Return what one of *running* says next."""
        while True:
            if not self._waiting and not self._listen(self._deadline - time.monotonic()):
                for call in running:
                    self._gave_none(call, Timeout.code)
                raise Timeout()
            call, said = self._waiting.pop(0)
            if call in running:
                return call, said
