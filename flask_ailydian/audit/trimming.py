"""Old signed checkpoints go, and one signed note of where every chain stood stays for them."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import json
import typing as t

import sqlalchemy as sa

from ..clock import new_id
from ..transactions import patiently
from . import guards
from .checkpoints import Checkpoint
from .checkpoints import digest
from .checkpoints import Head
from .merkle import Roots
from .signing import Signer

#: What stands for the chain in a note about checkpoints.
CHAIN = "checkpoints"


@dataclasses.dataclass(frozen=True)
class Trimmed:
    """A range of checkpoints that was taken away, as the note about it says.

    :param end: The digest of the last of them, which the next one names as the one before.
    """

    first: int
    last: int
    end: bytes
    heads: tuple[Head, ...]

    @classmethod
    def of(cls, said: dict[str, t.Any]) -> Trimmed:
        """Read a note; raise ``KeyError`` or ``ValueError`` for anything else."""
        heads = tuple(Head(i, s, bytes.fromhex(h)) for i, s, h in said["heads"])
        return cls(said["first_seq"], said["last_seq"], bytes.fromhex(said["end"]), heads)


class Trimming:
    """Takes old checkpoints out of the database."""

    def __init__(
        self, engine: c.Callable[[], sa.Engine], table: sa.Table, purges: sa.Table, signer: Signer
    ) -> None:
        self._engine = engine
        self._table = table
        self._purges = purges
        self._signer = signer

    def run(self, before_us: int, moment: int, *, dry_run: bool) -> int:
        """Trim what was signed before a moment, but never the newest; return how many.

        The note holds the last head of every chain that the range names, so that a chain that
        moved no more is vouched for as before, and a root over the digests of the range.
        """
        table = self._table
        newest = sa.select(sa.func.max(table.c.number)).scalar_subquery()
        old = sa.and_(table.c.created_us < before_us, table.c.number < newest)
        if dry_run:
            with self._engine().connect() as connection:
                query = sa.select(sa.func.count()).select_from(table).where(old)
                return int(connection.execute(query).scalar_one())
        return patiently(lambda: self._trim(old, moment))

    def _trim(self, old: sa.ColumnElement[bool], moment: int) -> int:
        table = self._table
        with self._engine().begin() as connection, guards.lifted(connection):
            heads: dict[str, Head] = {}
            roots, numbers, end = Roots(), [0, 0, 0], b""
            # Of a clock that went back nothing may be left behind in the middle.
            for row in connection.execute(table.select().where(old).order_by(table.c.number)):
                if numbers[2] and row.number != numbers[1] + 1:
                    break
                checkpoint = Checkpoint.of(row.body)
                heads |= {head.chain_id: head for head in checkpoint.heads}
                end = digest(row.body)
                roots.add(end)
                numbers = [numbers[0] or row.number, row.number, numbers[2] + 1]
            first, last, count = numbers
            if not count:
                return 0
            said = {
                "v": 1,
                "chain_id": CHAIN,
                "first_seq": first,
                "last_seq": last,
                "end": end.hex(),
                "root": roots.root().hex(),
                "heads": [[h.chain_id, h.seq, h.row_hash.hex()] for h in heads.values()],
                "created_us": moment,
            }
            connection.execute(self._purges.insert(), note(said, self._signer))
            mine = table.c.number.between(first, last)
            connection.execute(table.delete().where(mine))
        return count


def note(said: dict[str, t.Any], signer: Signer) -> dict[str, t.Any]:
    """Return the row of a signed note about what was taken away."""
    body = json.dumps(said, sort_keys=True, separators=(",", ":"))
    key_id, signature = signer.sign(body)
    values = {name: said[name] for name in ("chain_id", "first_seq", "last_seq", "created_us")}
    return values | {"id": new_id(), "body": body, "key_id": key_id, "signature": signature}
