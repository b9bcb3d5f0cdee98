"""What was signed about the trail: checkpoints and purges, from the database and from outside."""

from __future__ import annotations

import collections.abc as c
import json
import sqlite3
import typing as t

from . import checkpoints
from .checkpoints import Checkpoint
from .checkpoints import Head
from .signing import Signer
from .trimming import CHAIN
from .trimming import Trimmed

Signed = tuple[str, str, bytes]


class Evidence:
    """Signed statements, sorted by chain on disk: there may be millions.

    :param stored: The checkpoints of the database, in order.
    :param exported: Those that were kept elsewhere; may hold the same ones.
    :param purges: Signed statements of what retention took away.
    """

    def __init__(
        self,
        signer: Signer,
        stored: c.Iterable[Signed],
        exported: c.Iterable[Signed] = (),
        purges: c.Iterable[Signed] = (),
    ) -> None:
        self._signer = signer
        # A temporary database on disk that goes away with the connection.
        self._db = sqlite3.connect("", check_same_thread=False)
        self._db.execute("CREATE TABLE heads (chain TEXT, seq INTEGER, hash BLOB)")
        self._db.execute("CREATE TABLE numbers (number INTEGER PRIMARY KEY, digest BLOB)")
        self._db.execute(
            "CREATE TABLE purges (chain TEXT, first INTEGER, last INTEGER, before BLOB, end BLOB)"
        )
        self.checkpoints = 0
        self.wrong: list[str] = []
        self._trimmed: dict[int, Trimmed] = {}
        for signed in purges:
            self._purge(signed)
        self._stored(stored)
        for signed in exported:
            self._exported(signed)
        self._db.execute("CREATE INDEX by_chain ON heads (chain, seq)")
        self._db.execute("CREATE INDEX purged ON purges (chain, first)")

    def close(self) -> None:
        """Drop the temporary files."""
        self._db.close()

    def _stored(self, stored: c.Iterable[Signed]) -> None:
        number, prev = 0, b""
        for trimmed in sorted(self._trimmed.values(), key=lambda each: each.first):
            if trimmed.first != number + 1:
                self.wrong.append(f"The checkpoints after number {number} are missing.")
            number, prev = trimmed.last, trimmed.end
        for body, key_id, signature in stored:
            checkpoint = self._signed(body, key_id, signature)
            if checkpoint is None:
                self.wrong.append(f"The checkpoint after number {number} is not signed by us.")
                continue
            if checkpoint.number != number + 1 or checkpoint.prev != prev:
                self.wrong.append(f"A checkpoint after number {number} is missing or another.")
            number, prev = checkpoint.number, checkpoints.digest(body)
            self._db.execute("INSERT OR REPLACE INTO numbers VALUES (?, ?)", (number, prev))
            self.checkpoints += 1
            self._keep(checkpoint.heads)

    def _exported(self, signed: Signed) -> None:
        checkpoint = self._signed(*signed)
        if checkpoint is None:
            self.wrong.append("An exported checkpoint is not signed by us.")
            return
        query = "SELECT digest FROM numbers WHERE number = ?"
        known = self._db.execute(query, (checkpoint.number,)).fetchone()
        if known is None or known[0] != checkpoints.digest(checkpoint.body):
            self.checkpoints += 1
            self._keep(checkpoint.heads)

    def _signed(self, body: str, key_id: str, signature: bytes) -> Checkpoint | None:
        if not self._signer.signed(body, key_id, signature):
            return None
        try:
            return Checkpoint.of(body)
        except ValueError:
            return None

    def _keep(self, heads: c.Iterable[Head]) -> None:
        rows = [(head.chain_id, head.seq, head.row_hash) for head in heads]
        self._db.executemany("INSERT INTO heads VALUES (?, ?, ?)", rows)

    def _purge(self, signed: Signed) -> None:
        body = signed[0]
        if not self._signer.signed(*signed):
            self.wrong.append("A note of what was purged is not signed by us.")
            return
        said = json.loads(body)
        if said["chain_id"] == CHAIN:
            trimmed = Trimmed.of(said)
            self._trimmed[trimmed.first] = trimmed
            self._keep(trimmed.heads)
            return
        values = (
            said["chain_id"],
            said["first_seq"],
            said["last_seq"],
            bytes.fromhex(said["before"]),
            bytes.fromhex(said["end"]),
        )
        self._db.execute("INSERT INTO purges VALUES (?, ?, ?, ?, ?)", values)

    def chains(self) -> t.Iterator[str]:
        """Yield every chain that anything was signed about."""
        for (chain,) in self._db.execute("SELECT chain FROM heads UNION SELECT chain FROM purges"):
            yield chain

    def heads(self, chain_id: str, after: int) -> t.Iterator[tuple[int, bytes]]:
        """Yield the links of a chain that checkpoints name, in order."""
        query = "SELECT DISTINCT seq, hash FROM heads WHERE chain = ? AND seq > ? ORDER BY seq"
        return iter(self._db.execute(query, (chain_id, after)))

    def jump(self, chain_id: str, last: int, head: bytes) -> tuple[int, bytes]:
        """Return the last link and its hash after what was purged behind link *last*."""
        query = "SELECT last, end FROM purges WHERE chain = ? AND first = ? AND before = ?"
        while (found := self._db.execute(query, (chain_id, last + 1, head)).fetchone()) is not None:
            last, head = found
        return last, head

    def purged_at(self, chain_id: str, seq: int) -> bool:
        """Whether link *seq* was purged."""
        query = "SELECT 1 FROM purges WHERE chain = ? AND first <= ? AND last >= ?"
        return self._db.execute(query, (chain_id, seq, seq)).fetchone() is not None
