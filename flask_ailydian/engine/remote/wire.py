"""One HTTP exchange on a kept connection: no memory copied without need, no wait without end."""

from __future__ import annotations

import collections
import collections.abc as c
import select
import socket
import ssl
import time
import typing as t

from ...errors import AilydianError
from ...errors import BackendUnavailable
from ...errors import ClientGone
from ...errors import Timeout
from ..forks import restart_in_children
from ..watchdog import shared as watchdog
from . import incoming
from .address import Endpoint
from .incoming import Answer
from .options import RemoteOptions

#: Pieces of one system call; the system allows 1024.
PIECES = 512
IDLE_CONNECTIONS = 64


class Unreachable(Exception):
    """The exchange failed: no connection, one that broke off, or no HTTP at its other end."""


class Wire:
    """Kept connections to one endpoint; each is used by one call at a time."""

    def __init__(self, endpoint: Endpoint, options: RemoteOptions) -> None:
        self.endpoint = endpoint
        self._options = options
        self._context: ssl.SSLContext | None = None
        self._fixed = "".join(
            f"{name}: {text}\r\n"
            for name, text in {
                "Host": endpoint.authority,
                "User-Agent": "flask-ailydian",
                "Accept": "*/*",
                "Authorization": f"Bearer {options.token}" if options.token else "",
            }.items()
            if text
        )
        self._idle: collections.deque[socket.socket] = collections.deque()
        restart_in_children(self)

    def start_anew(self) -> None:
        """Forget the connections: a child must not talk on its parent's."""
        self.close()

    def close(self) -> None:
        """Close the connections that are not in use."""
        while self._idle:
            self._idle.pop().close()

    def __del__(self) -> None:
        self.close()

    def ask(
        self,
        method: str,
        path: str,
        body: t.Sequence[t.Any] = (),
        *,
        length_header: str,
        json_length: int | None = None,
        deadline: float,
        gone: c.Callable[[], bool] | None = None,
    ) -> Answer:
        """Send a request and return its answer.

        :param body: Pieces of memory, sent as they are.
        :param length_header: Which header says how many bytes of a body are JSON.
        :param json_length: How many of this body's are, where not all of them.
        :param deadline: As ``time.monotonic()`` counts, for everything together.
        :raises Unreachable: when it failed; nothing was answered.
        :raises Timeout: when the deadline passed first.
        :raises ClientGone: when *gone* said so.
        """
        kept = self._kept()
        head = self._head(method, path, body, length_header, json_length, deadline)
        ends = _End(deadline, gone)
        try:
            if kept is not None:
                try:
                    return self._exchange(kept, ends, head, body, length_header)
                except Unreachable:
                    # It was closed at the other end while nobody looked; inference has no effect
                    # there, so that asking again does no harm.
                    ends.check()
            return self._exchange(self._connect(ends), ends, head, body, length_header)
        finally:
            ends.over()

    def _head(
        self,
        method: str,
        path: str,
        body: t.Sequence[t.Any],
        length_header: str,
        json_length: int | None,
        deadline: float,
    ) -> bytes:
        lines = f"{method} {self.endpoint.path}{path} HTTP/1.1\r\n{self._fixed}"
        lines += f"X-Timeout-Seconds: {max(deadline - time.monotonic(), 0.001):.3f}\r\n"
        if method == "POST":
            kind = "application/json" if json_length is None else "application/octet-stream"
            lines += f"Content-Type: {kind}\r\nContent-Length: {sum(map(len, body))}\r\n"
        if json_length is not None:
            lines += f"{length_header}: {json_length}\r\n"
        return f"{lines}\r\n".encode("ascii")

    def _kept(self) -> socket.socket | None:
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            # Between two answers nothing may come: what can be read is the end, or nonsense.
            poll = select.poll()
            poll.register(connection, select.POLLIN | select.POLLHUP | select.POLLERR)
            if not poll.poll(0):
                return connection
            connection.close()
        return None

    def _connect(self, ends: _End) -> socket.socket:
        most = min(self._options.connect_seconds, ends.left())
        address = (self.endpoint.host, self.endpoint.port)
        try:
            connection = socket.create_connection(address, timeout=most)
        except OSError as error:
            ends.check()
            raise Unreachable() from error
        try:
            ends.of(connection)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.endpoint.tls:
                self._context = self._context or _trust(self._options)
                connection = self._context.wrap_socket(
                    connection, server_hostname=self.endpoint.host
                )
            return connection
        except (OSError, ValueError) as error:
            connection.close()
            ends.check()
            raise Unreachable() from error
        except AilydianError:
            connection.close()
            raise

    def _exchange(
        self,
        connection: socket.socket,
        ends: _End,
        head: bytes,
        body: t.Sequence[t.Any],
        length_header: str,
    ) -> Answer:
        kept = False
        try:
            ends.of(connection)
            connection.settimeout(ends.left())
            _send(connection, [memoryview(piece) for piece in (head, *body)])
            answer = incoming.read(connection, length_header.lower(), most=self._options.max_bytes)
            kept = answer.kept
            return answer
        except (OSError, ValueError, AttributeError, incoming.Broken) as error:
            ends.check()
            if isinstance(error, TimeoutError):
                raise Timeout() from error
            raise Unreachable() from error
        finally:
            # The watchdog may have ended it in the last moment.
            if ends.release() and kept and len(self._idle) < IDLE_CONNECTIONS:
                self._idle.append(connection)
            else:
                connection.close()


class _End:
    """Ends an exchange that outlives its deadline or its caller, whatever it waits for."""

    def __init__(self, deadline: float, gone: c.Callable[[], bool] | None) -> None:
        self._deadline = deadline
        self._gone = gone
        self._connection: socket.socket | None = None
        self._ended = False
        self._ticket = watchdog.watch(deadline, self._end, gone)

    def of(self, connection: socket.socket) -> None:
        """From now on it is this connection that would be ended."""
        self._connection = connection
        self.check()

    def release(self) -> bool:
        """Let go of the connection; say whether it was not ended."""
        self._connection = None
        return not self._ended

    def left(self) -> float:
        """Return how many seconds are left; raise when there are none."""
        self.check()
        return max(self._deadline - time.monotonic(), 0.001)

    def check(self) -> None:
        """Raise when the exchange was ended, or should have been."""
        if time.monotonic() >= self._deadline:
            raise Timeout()
        if self._ended:
            raise ClientGone()

    def over(self) -> None:
        """Nothing is left to end."""
        watchdog.call_off(self._ticket)

    def _end(self) -> None:
        self._ended = True
        connection = self._connection
        if connection is not None:
            try:
                # The plain socket's: TLS would want to say goodbye first.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
            except OSError:
                pass


def _send(connection: socket.socket, pieces: list[memoryview]) -> None:
    if isinstance(connection, ssl.SSLSocket):
        for piece in pieces:
            connection.sendall(piece)
        return
    while pieces:
        sent = connection.sendmsg(pieces[:PIECES])
        while pieces and sent >= len(pieces[0]):
            sent -= len(pieces.pop(0))
        if sent:
            pieces[0] = pieces[0][sent:]


def _trust(options: RemoteOptions) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=options.ca_file or None)
        if options.cert_file:
            context.load_cert_chain(options.cert_file, options.key_file or None)
    except OSError as error:
        raise BackendUnavailable(
            "A file of AILYDIAN_REMOTE_CA_FILE, _CERT_FILE or _KEY_FILE cannot be read."
        ) from error
    return context
