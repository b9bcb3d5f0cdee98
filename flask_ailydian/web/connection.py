"""The caller at the other end: how long it waits, and whether it is still there."""

from __future__ import annotations

import math
import select

from flask import request

from ..errors import ValidationFailed
from ..prediction import Patience

HEADER = "X-Timeout-Seconds"
#: Where servers keep a connection's socket: gunicorn, and Werkzeug's development server.
SOCKETS = ("gunicorn.socket", "werkzeug.socket")


def patience() -> Patience:
    """Return how long the current request's caller waits, and how to ask whether it still does.

    :raises ValidationFailed: when its header is no number of seconds.
    """
    return Patience(_timeout(), gone())


def _timeout() -> float | None:
    text = request.headers.get(HEADER)
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ValidationFailed(fields={HEADER: ["A number of seconds above zero."]})
    return seconds


class _Gone:
    """Says when called whether the caller has hung up; from any thread."""

    __slots__ = ("_descriptor", "_events")

    def __init__(self, descriptor: int, events: int) -> None:
        self._descriptor = descriptor
        self._events = events

    def __call__(self) -> bool:
        # A new one each time: the inputs of a batch ask at once, which one poll cannot stand.
        poll = select.poll()
        poll.register(self._descriptor, self._events)
        return bool(poll.poll(0))

    def fileno(self) -> int:
        """Name the connection, for who would rather be told."""
        return self._descriptor


def gone() -> _Gone | None:
    """Return what says whether the current request's caller has hung up, if anything can."""
    # None where the server does not show the connection, or the system cannot tell.
    found = next((request.environ[name] for name in SOCKETS if name in request.environ), None)
    hung_up = getattr(select, "POLLRDHUP", None)
    if found is None or hung_up is None:
        return None
    return _Gone(found.fileno(), hung_up | select.POLLHUP | select.POLLERR)
