"""Stretches of chains that are taken away, and what is signed about each."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import typing as t

from .merkle import Roots

#: Chain, place in it, and the hashes of the link before and of the link itself.
Link = tuple[str, int, bytes, bytes]


@dataclasses.dataclass
class Run:
    """A stretch of one chain, without a gap."""

    chain_id: str
    first: int
    last: int
    before: bytes
    end: bytes
    roots: Roots

    def said(self, moment: int) -> dict[str, t.Any]:
        """Return what is signed about it, at *moment* in microseconds."""
        return {
            "v": 1,
            "chain_id": self.chain_id,
            "first_seq": self.first,
            "last_seq": self.last,
            "before": self.before.hex(),
            "end": self.end.hex(),
            "root": self.roots.root().hex(),
            "created_us": moment,
        }


def runs(links: c.Iterable[Link], longest: int | None = None) -> t.Iterator[Run]:
    """Yield the stretches that *links*, sorted by chain and place, consist of.

    :param longest: How many links one may have.
    """
    current: Run | None = None
    for chain, seq, prev, row_hash in links:
        follows = current is not None and (current.chain_id, current.last + 1) == (chain, seq)
        full = current is not None and longest is not None and seq - current.first >= longest
        if current is not None and (full or not follows):
            yield current
            current = None
        if current is None:
            current = Run(chain, seq, seq, bytes(prev), b"", Roots())
        current.last, current.end = seq, bytes(row_hash)
        current.roots.add(current.end)
    if current is not None:
        yield current
