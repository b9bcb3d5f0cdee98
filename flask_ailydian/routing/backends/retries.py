"""Several attempts at one query under one deadline, each of them paid for from one purse."""

from __future__ import annotations

import collections.abc as c
import contextlib
import dataclasses
import time
import typing as t

from ..money import most_tokens
from ..money import Usage
from .base import BackendFailure
from .base import Event
from .base import Finished
from .base import PaidBackend
from .base import Question
from .base import Text
from .base import Used

#: Seconds: the longest first pause, and the longest of all.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0
#: A pause is never shorter than this much of the one before: jitter must not undo backing off.
GROWTH = 1.25
#: Seconds that every pause lasts: a busy server must notice that we left before we come again.
SHORTEST_PAUSE = 0.2


class Purse(t.Protocol):
    """Takes the worst case before an attempt, and settles what it came to."""

    def take(self) -> None:
        """Reserve one attempt.

        :raises BudgetExhausted: when there is no room for it.
        """

    def settle(self, usage: Usage | None) -> None:
        """Account for the attempt; ``None``: nothing was charged."""


@dataclasses.dataclass(frozen=True)
class Patience:
    """How often and how long a backend is tried.

    :param chance: Returns a number in [0, 1).
    """

    attempts: int
    chance: c.Callable[[], float]
    sleep: c.Callable[[float], None] = time.sleep


def pause_before(attempt: int, last: float, chance: float) -> float:
    """Return how long to wait before attempt *attempt* (the second is 1): full jitter, growing."""
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (attempt - 1))
    shortest = max(SHORTEST_PAUSE, last * GROWTH)
    return max(shortest, shortest + chance * (longest - shortest))


def ask(
    backend: PaidBackend,
    question: Question,
    *,
    deadline: float,
    patience: Patience,
    purse: Purse,
    held: bool,
) -> c.Generator[str, None, None]:
    """Yield the answer of *backend*, piece by piece or, when *held*, whole.

    Once a piece was yielded there is no second attempt: nobody gets two beginnings. None begins
    when the first word of all should have come.

    :raises BackendFailure: when no attempt gave a whole answer in time.
    """
    last, until = 0.0, min(deadline, question.begin_by)
    for attempt in range(1, patience.attempts + 1):
        purse.take()
        said: list[str] = []
        try:
            pieces = _attempt(backend, question, deadline, purse)
            # Closed here, not when it is collected: a reader who leaves is accounted for at once.
            with contextlib.closing(pieces):
                for piece in pieces:
                    said.append(piece)
                    if not held:
                        yield piece
            if held:
                yield "".join(said)
            return
        except BackendFailure as failure:
            if (said and not held) or not failure.retry or attempt == patience.attempts:
                raise
            last = pause_before(attempt, last, patience.chance())
            wait = last if failure.wait is None else max(failure.wait, 0.0) * 1.01 + 0.01
            if time.monotonic() + wait >= until:
                raise
            patience.sleep(wait)


def _attempt(
    backend: PaidBackend, question: Question, deadline: float, purse: Purse
) -> c.Generator[str, None, None]:
    """Make one attempt and settle it, whatever happens: also when the reader goes away."""
    usage: Usage | None = None
    length, finished = 0, False
    billed = True
    events: c.Iterator[Event] = backend.attempt(question, deadline)
    try:
        for event in events:
            if isinstance(event, Text):
                length += len(event.text.encode())
                yield event.text
            elif isinstance(event, Used):
                usage = event.usage
            elif isinstance(event, Finished):
                finished = True
        if not finished:
            raise BackendFailure("cut_short", retry=True, billed=True)
    except BackendFailure as failure:
        billed = failure.billed
        raise
    finally:
        close = getattr(events, "close", None)
        if close is not None:
            with contextlib.suppress(Exception):
                close()
        purse.settle(_charged(usage, question, length, finished) if billed else None)


def _charged(usage: Usage | None, question: Question, length: int, finished: bool) -> Usage:
    """Return what is counted: the provider's numbers when whole, else the higher of both."""
    if usage is not None and finished:
        return usage
    known = usage or Usage(most_tokens(question.text + question.prompt))
    # A token is a byte at least; what was generated and never arrived cannot be known.
    output = max(known.output_tokens, min(length, question.max_tokens))
    return dataclasses.replace(known, output_tokens=output, estimated=True)
