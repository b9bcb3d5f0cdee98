"""A server on loopback that stands before another and can freeze or drop what it carries."""

from __future__ import annotations

import contextlib
import socket
import threading
import typing as t

import sqlalchemy as sa


class Proxy:
    """Carries bytes both ways until told to freeze, or to drop everything and listen no more."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._flow = threading.Event()
        self._flow.set()
        self._down = False
        self._left = -1
        self._then: t.Callable[[], None] = self.drop
        #: Whether so many messages came.
        self.dropped = False
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze(self) -> None:
        """Carry nothing from now on; connections stay, and new ones are taken."""
        self._flow.clear()

    def thaw(self) -> None:
        """Carry on."""
        self._down, self._left = False, -1
        self._flow.set()

    def drop_after(self, messages: int) -> None:
        """Carry so many messages more, either way, and then :meth:`drop`."""
        self.dropped, self._left, self._then = False, messages, self.drop

    def freeze_after(self, messages: int) -> None:
        """Carry so many messages more, either way, and then :meth:`freeze`."""
        self.dropped, self._left, self._then = False, messages, self.freeze

    def drop(self) -> None:
        """Cut every connection, and each new one at once."""
        self._down = True
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def close(self) -> None:
        """End."""
        self.drop()
        self._flow.set()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._down:
                near.close()
                continue
            far = socket.create_connection(self._target)
            self._open += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._flow.wait()
                if self._left == 0:
                    self.dropped, self._left = True, -1
                    self._then()
                    if self._down:
                        break
                    self._flow.wait()
                self._left -= self._left > 0
                target.sendall(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def standing_before(url: str) -> tuple[Proxy, str]:
    """Return a proxy before the server of a database URL, and the URL that goes through it."""
    parsed: t.Any = sa.make_url(url)
    proxy = Proxy((parsed.host, parsed.port or 5432))
    through = parsed.set(host="127.0.0.1", port=proxy.port)
    return proxy, through.render_as_string(hide_password=False)
