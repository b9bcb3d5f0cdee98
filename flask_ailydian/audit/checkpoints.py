"""Signed statements of where every chain stands.

A chain cannot see that its tail was cut off, or that it was hashed anew. A statement that was
signed before and lies elsewhere can.
"""

from __future__ import annotations

import base64
import collections.abc as c
import dataclasses
import hashlib
import json
import threading
import time
import typing as t

import sqlalchemy as sa

from ..database import Database
from ..tables import Tables
from ..transactions import patiently
from . import merkle
from .canonical import encode
from .chain import Chain
from .layout import stretches
from .signing import Signer
from .sinks import Outlet

#: The last link of every chain of one stretch, found by jumping from chain to chain in the index.
HEADS = """
WITH RECURSIVE c(id) AS (
  SELECT min(chain_id) FROM pytorch_audit_events WHERE chain_id > ''{within}
  UNION ALL
  SELECT (SELECT min(chain_id) FROM pytorch_audit_events WHERE chain_id > c.id{within}) FROM c
  WHERE c.id IS NOT NULL
), h(id, seq) AS (
  SELECT c.id, (SELECT max(seq) FROM pytorch_audit_events WHERE chain_id = c.id{within}) FROM c
  WHERE c.id IS NOT NULL
)
SELECT h.id, h.seq, e.row_hash FROM h
JOIN pytorch_audit_events e ON e.chain_id = h.id AND e.seq = h.seq{within}
"""


@dataclasses.dataclass(frozen=True)
class Head:
    """The last link of one chain."""

    chain_id: str
    seq: int
    row_hash: bytes

    def leaf(self) -> bytes:
        """Return what stands for this head in the tree."""
        return encode("ailydian.head.1", self.chain_id, self.seq, self.row_hash)


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """One statement as it was signed.

    *heads* are those that moved since the one before; *root* is over the heads of all chains.
    """

    number: int
    created_us: int
    chains: int
    root: bytes
    prev: bytes
    heads: tuple[Head, ...]
    body: str

    @classmethod
    def of(cls, body: str) -> Checkpoint:
        """Read a body; raise ``ValueError`` for anything else."""
        try:
            said = json.loads(body)
            heads = tuple(Head(i, s, bytes.fromhex(h)) for i, s, h in said["heads"])
            root, prev = bytes.fromhex(said["root"]), bytes.fromhex(said["prev"])
            numbers = (said["number"], said["created_us"], said["chains"])
        except (KeyError, TypeError) as error:
            raise ValueError("this is no checkpoint") from error
        return cls(*numbers, root, prev, heads, body)


def leaves(heads: c.Iterable[Head]) -> list[bytes]:
    """Return the leaves of the tree over *heads*, in their order."""
    return [head.leaf() for head in sorted(heads, key=lambda h: h.chain_id)]


def digest(body: str) -> bytes:
    """Return what the next checkpoint says of this one."""
    return hashlib.sha256(body.encode()).digest()


class Checkpoints:
    """Makes the checkpoints of one app.

    :param own: Returns where this process's chain stands, by its own memory.
    :param seconds: How often one is made while the trail grows; 0: never.
    """

    def __init__(
        self,
        database: Database,
        tables: Tables,
        signer: Signer,
        outlets: list[Outlet],
        seconds: float,
    ) -> None:
        self._database = database
        self._table = tables.AuditCheckpoint.__table__
        self._signer = signer
        self.outlets = outlets
        self._seconds = seconds
        self._named: dict[str, int] = {}
        self._looked = 0.0
        self._lock = threading.Lock()

    def due(self) -> bool:
        """Whether it is time to look again."""
        return self._seconds > 0 and time.monotonic() - self._looked >= self._seconds

    def behind(self, own: c.Iterable[Chain]) -> bool:
        """Whether one of the chains has grown since it was last stated here."""
        return self._seconds > 0 and any(self._named.get(x.id) != x.seq for x in own)

    def make(self, own: c.Iterable[Chain] = (), *, now: bool = False) -> Checkpoint | None:
        """Sign where the chains stand and hand that to the sinks.

        :param own: This process's chains by its own memory, which goes before what is read.
        :param now: Also when another worker made one just before.
        :returns: ``None`` when there was nothing to say, or another worker was at it.
        """
        with self._lock:
            self._looked = time.monotonic()
            return patiently(lambda: self._make(own, now))

    def _make(self, own: c.Iterable[Chain], at_once: bool) -> Checkpoint | None:
        table, moment = self._table, time.time_ns() // 1000
        last_one = table.select().order_by(table.c.number.desc()).limit(1)
        with self._database.engine().begin() as connection:
            last = connection.execute(last_one).first()
            young = last is not None and 0 <= moment - last.created_us < 9e5 * self._seconds
            if young and not at_once:
                return None
            heads = _heads(connection)
            heads |= {x.id: Head(x.id, x.seq, x.head) for x in own}
            moved = [h for h in heads.values() if self._named.get(h.chain_id) != h.seq]
            if not moved:
                return None
            checkpoint = _stated(last, moment, heads, moved)
            key_id, signature = self._signer.sign(checkpoint.body)
            try:
                connection.execute(
                    table.insert(),
                    {
                        "number": checkpoint.number,
                        "created_us": moment,
                        "body": checkpoint.body,
                        "key_id": key_id,
                        "signature": signature,
                    },
                )
            except sa.exc.IntegrityError:
                connection.rollback()
                return None
        self._named |= {head.chain_id: head.seq for head in moved}
        line = as_line(checkpoint.body, key_id, signature)
        for outlet in self.outlets:
            outlet.send(line)
        return checkpoint

    def retry_exports(self) -> bool:
        """Hand over what sinks did not take; return whether anything still waits."""
        return any([outlet.retry() for outlet in self.outlets])

    def read(self, *, after: int = 0) -> t.Iterator[tuple[str, str, bytes]]:
        """Yield body, key id and signature of the stored checkpoints, in order."""
        table = self._table
        query = table.select().where(table.c.number > after).order_by(table.c.number)
        with self._database.walk() as walk:
            for row in walk.steps(lambda connection: rows(connection, query)):
                yield row.body, row.key_id, bytes(row.signature)


def rows(connection: sa.Connection, query: sa.Select[t.Any]) -> t.Iterator[t.Any]:
    """Yield what a query finds, in pieces: who has found what they want reads no further."""
    with connection.execution_options(yield_per=500).execute(query) as found:
        yield from found


def _heads(connection: sa.Connection) -> dict[str, Head]:
    """Return the last link of every chain."""
    heads = {}
    # Each partition by itself: a server that looks into all of them for each chain takes long.
    for low, high in stretches(connection):
        within = f" AND chain_id >= '{low}'" if low else ""
        within += f" AND chain_id < '{high}'" if high else ""
        for id, seq, row_hash in connection.exec_driver_sql(HEADS.format(within=within)):
            heads[id] = Head(id, seq, bytes(row_hash))
    return heads


def _stated(last: t.Any, moment: int, heads: dict[str, Head], moved: list[Head]) -> Checkpoint:
    said = {
        "v": 1,
        "number": 1 if last is None else last.number + 1,
        "created_us": moment,
        "chains": len(heads),
        "root": merkle.root(leaves(heads.values())).hex(),
        "prev": b"".hex() if last is None else digest(last.body).hex(),
        "heads": [[h.chain_id, h.seq, h.row_hash.hex()] for h in moved],
    }
    return Checkpoint.of(json.dumps(said, sort_keys=True, separators=(",", ":")))


def as_line(body: str, key_id: str, signature: bytes) -> str:
    """Return a checkpoint as the one line of JSON that sinks get."""
    signed = base64.b64encode(signature).decode()
    return json.dumps({"checkpoint": body, "key_id": key_id, "signature": signed})


def of_line(line: str) -> tuple[str, str, bytes]:
    """Read such a line; raise ``ValueError`` for anything else."""
    try:
        said = json.loads(line)
        body, key_id = str(said["checkpoint"]), str(said["key_id"])
        return body, key_id, base64.b64decode(said["signature"], validate=True)
    except (KeyError, TypeError) as error:
        raise ValueError("this is no exported checkpoint") from error
