"""Holds the listening socket while servers come and go, so that no connection is refused.

Run as a script of the standard library alone: it outlives the server, the environment and the
version that it was started from, and needs next to no memory.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
import typing as t
from pathlib import Path

NAME = "keeper.sock"


@contextlib.contextmanager
def _address(folder: Path) -> t.Iterator[str]:
    # A socket's path has 107 bytes at most, and folders may be deeper than that.
    handle = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}/{NAME}"
    finally:
        os.close(handle)


def fetch(folder: Path, timeout: float = 5.0) -> int:
    """Return a descriptor of the socket that the keeper in *folder* holds.

    :raises OSError: when no keeper answers there.
    """
    with socket.socket(socket.AF_UNIX) as line, _address(folder) as address:
        line.settimeout(timeout)
        line.connect(address)
        _, descriptors, _, _ = socket.recv_fds(line, 1, 1)
        if not descriptors:
            raise ConnectionError("The keeper handed over nothing.")
        return descriptors[0]


def keep(descriptor: int, folder: Path) -> t.NoReturn:
    """Hand the socket to whoever of the same user asks, until a signal comes."""
    with socket.socket(socket.AF_UNIX) as line, _address(folder) as address:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(address)
        line.bind(address)
        os.chmod(address, 0o600)
        line.listen(8)
        while True:
            with contextlib.suppress(OSError):
                asking, _ = line.accept()
                with asking:
                    asking.settimeout(5)
                    if _user(asking) == os.getuid():
                        socket.send_fds(asking, [b"\0"], [descriptor])


def _user(asking: socket.socket) -> int:
    size = struct.calcsize("3i")
    sent = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    return int(struct.unpack("3i", sent)[1])


if __name__ == "__main__":
    keep(int(sys.argv[1]), Path(sys.argv[2]))
