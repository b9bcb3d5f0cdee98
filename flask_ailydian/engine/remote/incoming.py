"""Reads answers of HTTP/1.1 off a connection, straight into the memory that they stay in.

The standard library's reader spends longer on an answer's headers than all else that a call takes.
"""

from __future__ import annotations

import re
import socket
import typing as t

STATUS = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n]*)?")
#: Bytes of an answer's head, and those that are read before anything is known of it.
MAX_HEAD, FIRST = 2**16, 2**13
NO_BODY = frozenset({204, 304})
FRAMING = frozenset({"content-length", "transfer-encoding"})


class Broken(Exception):
    """What came is no answer, or not all of one."""


class TooMuch(Exception):
    """The answer is larger than is accepted."""


class Answer(t.NamedTuple):
    """Status, the JSON, what follows it, and whether the connection can be used again."""

    status: int
    head: bytearray
    tail: bytearray
    kept: bool


def read(connection: socket.socket, length_header: str, *, most: int) -> Answer:
    """Return the next answer.

    :param length_header: In lower case; says how many bytes of the body are JSON.
    :param most: Bytes that the body may have.
    :raises Broken: when it is none, or ends early.
    :raises TooMuch: before it is read.
    """
    incoming = _Incoming(connection)
    status = 100
    while status < 200:
        version, status, headers = _head(incoming)
    split = _number(headers.get(length_header))
    coding = headers.get("transfer-encoding", "").lower()
    whole = _number(headers.get("content-length"))
    how = headers.get("connection", "").lower()
    kept = "close" not in how if version else "keep-alive" in how
    if status in NO_BODY:
        return Answer(status, bytearray(), bytearray(), kept)
    if coding or whole is None:
        if coding not in ("", "chunked"):
            raise Broken()
        data = _chunks(incoming, most) if coding else incoming.rest(most)
        at = len(data) if split is None else min(split, len(data))
        kept = kept and bool(coding) and incoming.empty
        return Answer(status, data[:at], data[at:], kept)
    if whole > most:
        raise TooMuch()
    at = whole if split is None else min(split, whole)
    head, tail = incoming.fill(at), incoming.fill(whole - at)
    return Answer(status, head, tail, kept and incoming.empty)


def _head(incoming: _Incoming) -> tuple[bool, int, dict[str, str]]:
    """Return whether it is HTTP/1.1, the status and the headers, their names in lower case."""
    first, *lines = incoming.until(b"\r\n\r\n", MAX_HEAD).split(b"\r\n")
    found = STATUS.fullmatch(first)
    if found is None:
        raise Broken()
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        name, value = name.lower(), value.strip()
        # A line that goes on where the last one ended, and lengths that differ, are old tricks.
        twice = name in FRAMING and headers.get(name, value) != value
        if not colon or name != name.strip() or twice:
            raise Broken()
        headers[name] = value
    return found[1] == b"1", int(found[2]), headers


def _number(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise Broken()
    return int(text)


def _chunks(incoming: _Incoming, most: int) -> bytearray:
    data = bytearray()
    while True:
        size = incoming.until(b"\r\n", MAX_HEAD).partition(b";")[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,12}", size):
            raise Broken()
        length = int(size, 16)
        if len(data) + length > most:
            raise TooMuch()
        if not length:
            # Trailers, which say nothing to us, up to an empty line.
            while incoming.until(b"\r\n", MAX_HEAD):
                pass
            return data
        data += incoming.fill(length)
        if incoming.fill(2) != b"\r\n":
            raise Broken()


class _Incoming:
    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._held = bytearray()

    @property
    def empty(self) -> bool:
        return not self._held

    def until(self, mark: bytes, most: int) -> bytes:
        while (end := self._held.find(mark)) < 0:
            if len(self._held) > most or not self._more():
                raise Broken()
        found = bytes(self._held[:end])
        del self._held[: end + len(mark)]
        return found

    def fill(self, size: int) -> bytearray:
        data = bytearray(size)
        view, at = memoryview(data), min(size, len(self._held))
        view[:at] = self._held[:at]
        del self._held[:at]
        while at < size:
            count = self._connection.recv_into(view[at:])
            if not count:
                raise Broken()
            at += count
        return data

    def rest(self, most: int) -> bytearray:
        while len(self._held) <= most and self._more():
            pass
        if len(self._held) > most:
            raise TooMuch()
        data, self._held = self._held, bytearray()
        return data

    def _more(self) -> bool:
        chunk = self._connection.recv(FIRST)
        self._held += chunk
        return bool(chunk)
