"""What the official SDKs have in common: how they fail, and how they are stopped in time."""

from __future__ import annotations

import collections.abc as c
import contextlib
import importlib
import json
import os
import socket
import time
import typing as t
from datetime import datetime
from datetime import UTC
from email.utils import parsedate_to_datetime

from ...engine.watchdog import Watchdog
from .base import BackendFailure
from .base import Question

#: Statuses after which the same request may succeed.
TRY_AGAIN = frozenset({408, 409, 429})
#: A provider's words for money that has run out: no waiting helps.
SPENT = frozenset(
    {"insufficient_quota", "billing_hard_limit_reached", "billing_error", "spend_limit_reached"}
)
Made = t.TypeVar("Made")


class PerProcess(t.Generic[Made]):
    """Something with threads or sockets, made on first use in each process."""

    def __init__(self, make: c.Callable[[], Made]) -> None:
        self._make = make
        self._made: dict[int, Made] = {}

    def get(self) -> Made:
        """Return what this process has; a child never touches its parent's."""
        pid = os.getpid()
        if pid not in self._made:
            self._made.setdefault(pid, self._make())
        return self._made[pid]

    def close(self) -> None:
        """Close what this process has, if it can be closed."""
        made = self._made.pop(os.getpid(), None)
        if made is not None and hasattr(made, "close"):
            made.close()


_watchdogs = PerProcess(Watchdog)


def load(name: str) -> t.Any:
    """Import an SDK on first use.

    :raises BackendFailure: when it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise BackendFailure("sdk_not_installed") from error


class Time:
    """How long a call may take: until its first word, and from there to its end.

    An SDK's time-outs are for a single read: a server that sends a byte now and then would
    hold us for ever.
    """

    def __init__(self, question: Question, deadline: float) -> None:
        self._deadline = deadline
        self._due = min(question.begin_by, deadline)
        self._shut: c.Callable[[], None] | None = None
        self._ticket: int | None = None

    def left(self, silence: float) -> float:
        """Return how long one read may take."""
        left = self._due - time.monotonic()
        if left <= 0:
            raise BackendFailure("timeout")
        return min(left, silence)

    @property
    def over(self) -> bool:
        """Whether it has passed."""
        return time.monotonic() >= self._due

    def begun(self) -> None:
        """Give the call until its end: its first word has come."""
        if self._due < self._deadline:
            self._due = self._deadline
            self._watch()

    @contextlib.contextmanager
    def holds(self, response: t.Any) -> c.Iterator[None]:
        """Shut the connection of *response* when it has passed."""

        def shut() -> None:
            stream = response.extensions.get("network_stream")
            connection = stream.get_extra_info("socket") if stream is not None else None
            if connection is not None:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

        self._shut = shut
        self._watch()
        try:
            yield
        finally:
            self._call_off()

    def _watch(self) -> None:
        assert self._shut is not None
        self._call_off()
        self._ticket = _watchdogs.get().watch(self._due, self._shut)

    def _call_off(self) -> None:
        if self._ticket is not None:
            _watchdogs.get().call_off(self._ticket)
            self._ticket = None


def _lines(chunks: c.Iterable[bytes]) -> c.Iterator[bytes]:
    """Yield lines; only CR and LF end one, where ``str.splitlines`` knows eight characters more."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.rstrip(b"\r")
    yield rest.rstrip(b"\r")
    yield b""


def events(chunks: c.Iterable[bytes]) -> c.Iterator[dict[str, t.Any]]:
    """Yield the data of server-sent events, strictly: an SDK passes over what it cannot read.

    :raises BackendFailure: for data that is no JSON object.
    """
    data: list[bytes] = []
    for line in _lines(chunks):
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif not line and data:
            text, data = b"\n".join(data), []
            if text.strip() == b"[DONE]":
                return
            try:
                event = json.loads(text)
            except ValueError as error:
                raise BackendFailure("broken_answer", retry=True, billed=True) from error
            if not isinstance(event, dict):
                raise BackendFailure("broken_answer", retry=True, billed=True)
            if event.get("error"):
                raise _inside(event)
            yield event


def _inside(event: dict[str, t.Any]) -> BackendFailure:
    """Return what an error that came inside a stream means."""
    if SPENT & _words(event):
        return BackendFailure("spend_limit", billed=True)
    return BackendFailure("provider_error", retry=True, billed=True)


@contextlib.contextmanager
def failures(sdk: t.Any, time: Time) -> c.Iterator[None]:
    """Turn whatever leaves the block into :class:`BackendFailure`, without a vendor's words."""
    try:
        yield
    except BackendFailure:
        raise
    except Exception as error:
        raise failure_of(error, sdk, time.over) from error


def failure_of(error: Exception, sdk: t.Any, late: bool) -> BackendFailure:
    """Return what an SDK's exception, or one that escaped it, means."""
    status = getattr(error, "status_code", None)
    if isinstance(error, sdk.APIStatusError) and isinstance(status, int) and status >= 400:
        return _of_status(error, status)
    if late:
        return BackendFailure("timeout", billed=True)
    if isinstance(error, sdk.APITimeoutError):
        return BackendFailure("timeout", retry=True, billed=True)
    if isinstance(error, sdk.APIConnectionError):
        never_sent = "Connect" in type(error.__cause__).__name__
        word = "unreachable" if never_sent else "connection_lost"
        return BackendFailure(word, retry=True, billed=not never_sent)
    # Errors inside a stream, and what escapes the SDKs raw: transport errors, broken JSON.
    return BackendFailure("broken_answer", retry=True, billed=True)


def _of_status(error: t.Any, status: int) -> BackendFailure:
    if status == 402 or SPENT & _words(error.body):
        return BackendFailure("spend_limit")
    if status in (401, 403):
        return BackendFailure("credentials_refused")
    if status not in TRY_AGAIN and status < 500:
        return BackendFailure("request_refused")
    word = "rate_limited" if status == 429 else "provider_error"
    return BackendFailure(word, retry=True, wait=retry_after(error.response.headers))


def _words(body: t.Any) -> set[str]:
    """Return the type and code that an error's body names, at whatever depth."""
    if not isinstance(body, dict):
        return set()
    own = {str(body[key]) for key in ("type", "code") if body.get(key)}
    return own | _words(body.get("error"))


def retry_after(headers: c.Mapping[str, str]) -> float | None:
    """Return the seconds that a response asks to wait, as a number or a date."""
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        with contextlib.suppress(ValueError):
            if name in headers:
                return max(0.0, float(headers[name]) / unit)
    with contextlib.suppress(ValueError, TypeError):
        when = parsedate_to_datetime(headers.get("retry-after", ""))
        return max(0.0, (when - datetime.now(UTC)).total_seconds())
    return None
