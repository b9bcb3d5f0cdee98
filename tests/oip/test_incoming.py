"""Answers of HTTP/1.1 as they come off a socket, in whichever pieces."""

from __future__ import annotations

import socket
import threading
import typing as t

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from flask_ailydian.engine.remote import incoming

LENGTH = "inference-header-content-length"
OK = b"HTTP/1.1 200 OK\r\n"


def read(data: bytes, *, most: int = 1000, cuts: t.Sequence[int] = ()) -> incoming.Answer:
    """Return the answer that *data* is, sent in pieces and followed by the end."""
    ours, theirs = socket.socketpair()

    def send() -> None:
        edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
        with theirs:
            for start, end in zip(edges, edges[1:], strict=False):
                try:
                    theirs.sendall(data[start:end])
                except OSError:
                    return

    thread = threading.Thread(target=send)
    thread.start()
    try:
        ours.settimeout(10)
        return incoming.read(ours, LENGTH, most=most)
    finally:
        ours.close()
        thread.join()


@given(
    st.binary(max_size=300),
    st.none() | st.integers(0, 400),
    st.sampled_from(["length", "chunked", "end"]),
    st.lists(st.integers(0, 10**6), max_size=6),
    st.lists(st.integers(1, 60), max_size=5),
)
@settings(max_examples=300, deadline=None)
def test_an_answer_is_read_however_it_comes(
    body: bytes, split: int | None, framing: str, cuts: list[int], sizes: list[int]
) -> None:
    head = OK if split is None else OK + b"Inference-Header-Content-Length: %d\r\n" % split
    if framing == "length":
        data = head + b"Content-Length:%d\r\n\r\n" % len(body) + body
    elif framing == "end":
        data = head + b"\r\n" + body
    else:
        data, left = head + b"Transfer-Encoding: Chunked\r\n\r\n", body
        for size in [*sizes, 1000]:
            piece, left = left[:size], left[size:]
            if piece:
                data += b"%x;name=value\r\n%s\r\n" % (len(piece), piece)
        data += b"0\r\nTrailer: x\r\n\r\n"
    found = read(data, cuts=cuts)
    at = len(body) if split is None else min(split, len(body))
    assert (found.status, bytes(found.head), bytes(found.tail)) == (200, body[:at], body[at:])
    assert found.kept == (framing != "end")


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        (OK + b"Content-Length: 0\r\n\r\n", True),
        (OK + b"Content-Length: 0\r\nConnection: Close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 204 \r\n\r\n", True),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", True),
        # What nobody asked for must not become the answer to the next question.
        (OK + b"Content-Length: 0\r\n\r\n" + OK, False),
    ],
)
def test_a_connection_is_kept_only_where_both_want_it(data: bytes, kept: bool) -> None:
    assert read(data).kept is kept


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"SSH-2.0-OpenSSH_9\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200OK\r\n\r\n",
        OK[:-4],
        OK + b"no colon\r\n\r\n",
        OK + b"A: b\r\n folded: c\r\n\r\n",
        OK + b"Content-Length : 3\r\n\r\nabc",
        OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: +1\r\n\r\nx",
        OK + b"Content-Length: 0x1\r\n\r\nx",
        OK + b"Content-Length: 4\r\n\r\nabc",
        OK + b"Transfer-Encoding: gzip\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcde\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        OK + b"Inference-Header-Content-Length: x\r\nContent-Length: 0\r\n\r\n",
        OK + b"A: " + b"b" * 100_000,
    ],
)
def test_what_is_no_answer_is_told_apart(data: bytes) -> None:
    with pytest.raises(incoming.Broken):
        read(data)


@pytest.mark.parametrize(
    "data",
    [
        OK + b"Content-Length: 1001\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1f4\r\n" + bytes(500) + b"\r\n1f5\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nfffffffffff\r\n",
        OK + b"\r\n" + bytes(1001),
    ],
)
def test_what_is_too_much_is_not_read(data: bytes) -> None:
    with pytest.raises(incoming.TooMuch):
        read(data)
