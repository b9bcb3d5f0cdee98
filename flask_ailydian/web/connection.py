"""The caller at the other end: how long it waits, and whether it is still there."""

from __future__ import annotations

import contextlib
import math
import select
import time

from flask import request
from flask import Response

from ..errors import ValidationFailed
from ..prediction import Patience

HEADER = "X-Timeout-Seconds"
#: Where servers keep a connection's socket: gunicorn, and Werkzeug's development server.
SOCKETS = ("gunicorn.socket", "werkzeug.socket")

#: How much of the body of a request that is refused is read all the same, and how long.
READ_ON_BYTES, READ_ON_SECONDS = 64 * 2**20, 5.0


def read_on(response: Response) -> Response:
    """Read what is still coming of a request that is refused.

    A server that closes on bytes which nobody read resets the connection, and many a client
    then never gets to see the answer. Who asks first (``Expect``) has not sent anything, and
    only a server that ends the body itself can be read from without knowing where it ends.
    """
    needless = response.status_code < 400 or "Expect" in request.headers
    if needless or not request.environ.get("wsgi.input_terminated"):
        return response
    left, until = READ_ON_BYTES, time.monotonic() + READ_ON_SECONDS
    if (request.content_length or 0) <= left:
        with contextlib.suppress(Exception):
            while left > 0 and time.monotonic() < until:
                piece = request.environ["wsgi.input"].read(2**16)
                if not piece:
                    break
                left -= len(piece)
    return response


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
