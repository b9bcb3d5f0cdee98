"""Makes the n-th call of the operating system or of the database fail."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
import typing as t


class Saboteur:
    """Makes the n-th call of a kind fail, by Python's own audit hook: the call itself is real.

    A kind is an audit event, or what several begin with: ``socket.`` are all of sockets.
    """

    def __init__(self) -> None:
        self._event = ""
        self._about: t.Callable[[tuple[t.Any, ...]], bool] = lambda args: False
        self._left = 0
        self.calls = 0
        # A hook stays for the life of the process; this one does nothing unless told to.
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[t.Any, ...]) -> None:
        if self._event and event.startswith(self._event) and self._about(args):
            self.calls += 1
            if self.calls == self._left:
                raise OSError(5, "Input/output error")

    @contextlib.contextmanager
    def failing(
        self, event: str, n: int, about: t.Callable[[tuple[t.Any, ...]], bool]
    ) -> t.Iterator[None]:
        self.calls, self._left, self._about, self._event = 0, n, about, event
        try:
            yield
        finally:
            self._event = ""


SABOTEUR = Saboteur()


class Failing(sqlite3.Connection):
    """A connection whose n-th call of a kind fails."""

    left: t.ClassVar[dict[str, int]] = {}

    def _count(self, what: str) -> None:
        self.left[what] = self.left.get(what, 0) - 1
        if self.left[what] == 0:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise error

    def commit(self) -> None:
        self._count("commit")
        super().commit()
        self._count("after commit")

    def execute(self, *args: t.Any) -> sqlite3.Cursor:
        self._count("execute")
        return super().execute(*args)

    def cursor(self, *args: t.Any) -> t.Any:
        self._count("cursor")
        return super().cursor(*args)
