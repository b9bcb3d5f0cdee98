"""Merkle trees as RFC 6962 has them: roots, inclusion proofs, and their check."""

from __future__ import annotations

import collections.abc as c
import hashlib


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of one leaf."""
    return hashlib.sha256(b"\0" + data).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def root(leaves: c.Sequence[bytes]) -> bytes:
    """Return the root over *leaves*: level by level, an odd one out moves up as it is."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    level = [leaf_hash(leaf) for leaf in leaves]
    while len(level) > 1:
        paired = [_node(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = paired + level[len(level) - len(level) % 2 :]
    return level[0]


def proof(leaves: c.Sequence[bytes], index: int) -> list[bytes]:
    """Return the audit path of the leaf at *index*, lowest sibling first."""
    if not 0 <= index < len(leaves):
        raise IndexError(index)
    level, path = [leaf_hash(leaf) for leaf in leaves], []
    while len(level) > 1:
        if (sibling := index ^ 1) < len(level):
            path.append(level[sibling])
        paired = [_node(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level, index = paired + level[len(level) - len(level) % 2 :], index // 2
    return path


def included(leaf: bytes, index: int, size: int, path: c.Iterable[bytes], expected: bytes) -> bool:
    """Whether *path* leads from *leaf* at *index* of *size* to the root *expected* (RFC 9162)."""
    if not 0 <= index < size:
        return False
    found, last = leaf_hash(leaf), size - 1
    for sibling in path:
        if last == 0:
            return False
        if index & 1 or index == last:
            found = _node(sibling, found)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            found = _node(found, sibling)
        index, last = index >> 1, last >> 1
    return last == 0 and found == expected


class Roots:
    """A root over leaves that come one at a time, in memory that grows with their logarithm."""

    def __init__(self) -> None:
        self._peaks: list[tuple[int, bytes]] = []

    def add(self, leaf: bytes) -> None:
        """Take the next leaf."""
        size, found = 1, leaf_hash(leaf)
        while self._peaks and self._peaks[-1][0] == size:
            found = _node(self._peaks.pop()[1], found)
            size *= 2
        self._peaks.append((size, found))

    def root(self) -> bytes:
        """Return the root over what came so far."""
        if not self._peaks:
            return root([])
        found = self._peaks[-1][1]
        for _, peak in reversed(self._peaks[:-1]):
            found = _node(peak, found)
        return found
