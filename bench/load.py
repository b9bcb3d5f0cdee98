"""The load: keep-alive connections on plain sockets, a thread each, all in this process."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import resource
import socket
import threading
import time

import numpy as np

TIMEOUT = 120.0


@dataclasses.dataclass(frozen=True)
class Answer:
    """A whole answer; headers' names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes
    #: Seconds from the first byte sent to the last one received.
    seconds: float
    #: ``time.monotonic()`` when it was complete.
    at: float


def request(
    path: str, body: bytes, headers: dict[str, str] | None = None, *, multipart: bool = False
) -> bytes:
    """Return a POST of a JPEG as it goes over the wire.

    :param multipart: Send a form with the JPEG as its member ``image``, not the JPEG itself.
    """
    kind = "image/jpeg"
    if multipart:
        edge, kind = "photograph", "multipart/form-data; boundary=photograph"
        named = 'Content-Disposition: form-data; name="image"; filename="photo.jpg"'
        head = f"--{edge}\r\n{named}\r\nContent-Type: image/jpeg\r\n\r\n"
        body = head.encode() + body + f"\r\n--{edge}--\r\n".encode()
    lines = {"Host": "127.0.0.1", "Content-Type": kind, "Content-Length": str(len(body))}
    lines |= headers or {}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body


class Connection:
    """One connection, kept alive, opened anew when the server closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def ask(self, wire: bytes) -> Answer:
        """Send a request and return its answer.

        :raises OSError: when there is none.
        """
        kept = self._socket is not None
        started = time.monotonic()
        try:
            return self._ask(wire, started)
        except (ConnectionError, BrokenPipeError):
            self.close()
            if not kept:
                raise
        # The server had closed a connection that was idle; only then it is asked again.
        return self._ask(wire, started)

    def _ask(self, wire: bytes, started: float) -> Answer:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), TIMEOUT)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(wire)
        return self._read(self._socket, started)

    def _read(self, source: socket.socket, started: float) -> Answer:
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more(source)
        first, *rest = data[:end].decode("latin-1").split("\r\n")
        headers = {k.strip().lower(): v.strip() for k, _, v in (r.partition(":") for r in rest)}
        body = data[end + 4 :]
        if "content-length" in headers:
            while len(body) < int(headers["content-length"]):
                body += self._more(source)
        else:
            while not body.endswith(b"0\r\n\r\n"):
                body += self._more(source)
        finished = time.monotonic()
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Answer(int(first.split()[1]), headers, body, finished - started, finished)

    @staticmethod
    def _more(source: socket.socket) -> bytes:
        data = source.recv(2**16)
        if not data:
            raise ConnectionError("The server closed the connection.")
        return data

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


@dataclasses.dataclass(frozen=True)
class Load:
    """What a load brought back."""

    answers: list[Answer]
    broken: int
    wall: float
    #: Processor seconds of this process, which are no part of the server's.
    own_cpu: float

    @property
    def good(self) -> list[Answer]:
        """The answers with status 200."""
        return [a for a in self.answers if a.status == 200]

    @property
    def rate(self) -> float:
        """Good answers per second."""
        return len(self.good) / self.wall

    def percentile(self, q: float, *, skip: int = 0) -> float:
        """Return a percentile of the good answers' milliseconds.

        :param skip: So many answers came while the queue was filling.
        """
        times = sorted(self.good, key=lambda a: a.at)[skip:] or self.good
        if not times:
            return float("nan")
        return float(np.percentile([a.seconds * 1000 for a in times], q))


def closed_loop(
    port: int,
    wires: c.Sequence[bytes],
    *,
    clients: int,
    seconds: float = float("inf"),
    count: int | None = None,
) -> Load:
    """Let *clients* ask one request after the other, for so long or so many in all.

    What is in flight when the time is up is waited for and counted, and so is the wait.
    """
    lock = threading.Lock()
    answers: list[Answer] = []
    state = {"next": 0, "broken": 0}
    until = time.monotonic() + seconds

    def work() -> None:
        connection = Connection(port)
        mine = []
        while time.monotonic() < until:
            with lock:
                number = state["next"]
                if count is not None and number >= count:
                    break
                state["next"] += 1
            try:
                mine.append(connection.ask(wires[number % len(wires)]))
            except OSError:
                connection.close()
                with lock:
                    state["broken"] += 1
        connection.close()
        with lock:
            answers.extend(mine)

    threads = [threading.Thread(target=work) for _ in range(clients)]
    cpu, started = _own(), time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Load(answers, state["broken"], time.monotonic() - started, _own() - cpu)


def _own() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
