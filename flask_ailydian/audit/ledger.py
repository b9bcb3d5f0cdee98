"""Rows that are on disk before the answer they stand for is given."""

from __future__ import annotations

import collections.abc as c
import json
import logging
import time
import typing as t

import sqlalchemy as sa

from ..clock import new_id
from ..connections import DatabaseUnavailable
from ..database import Database
from ..errors import AuditUnavailable
from ..errors import Conflict
from ..tables import Tables
from . import canonical
from .chain import Event
from .checkpoints import Checkpoints
from .claims import Claim
from .claims import Claims
from .claims import Reply
from .delivery import Delivery
from .delivery import Limits
from .fingerprint import Fingerprint
from .inspection import Inspection
from .keys import KeyUnavailable
from .partitions import Partitions
from .policy import Policy
from .policy import SENSITIVE
from .rows import Checker
from .sealing import Sealer
from .shipping import Shipping
from .subjects import Subjects
from .verify import WHOLE
from .writer import Item

log = logging.getLogger("flask_ailydian.audit")

Detail = c.Mapping[str, int | str | None]
Work = c.Callable[[sa.Connection], None]


class Ledger:
    """Writes the audit rows of one app.

    Rows are written on a connection of their own, never in the host's session: what the
    host rolls back stays recorded here, and we never commit what is the host's.

    :param started: What the event says that every chain begins with.
    """

    def __init__(
        self,
        database: Database,
        tables: Tables,
        subjects: Subjects,
        fingerprint: Fingerprint,
        policy: Policy,
        limits: Limits,
        started: Detail,
        checkpoints: Checkpoints,
        inspection: Inspection,
        partitions: Partitions,
        shipping: Shipping | None = None,
    ) -> None:
        self.database = database
        self.engine = database.engine
        self.tables = tables
        self.subjects = subjects
        self._fingerprint = fingerprint
        self.policy = policy
        self.checkpoints = checkpoints
        self.inspection = inspection
        self.partitions = partitions
        self._sealer = Sealer(subjects)
        self._columns = tables.InferenceLog.__table__.columns.keys()
        self._log_rows = Checker(tables.InferenceLog.__table__)
        self._event_rows = Checker(tables.AuditEvent.__table__)
        self._cost_rows = Checker(tables.QueryCost.__table__)
        self.claims = Claims(
            database, tables.IdempotencyKey.__table__, stale_after=limits.stale_after
        )
        self._delivery = Delivery(
            database, tables, subjects, self.claims, limits, started, checkpoints, shipping
        )

    # What is recorded

    def record(
        self,
        row: dict[str, t.Any],
        claim: Claim | None = None,
        reply: Reply | None = None,
        *,
        kind: str = "inference",
        cost: dict[str, t.Any] | None = None,
    ) -> None:
        """Commit *row* with its event, and with them the reply that a repeated request will get.

        :param row: The columns; beside them ``actor``, who called, and ``domain``, which decides
            what is kept.
        :param cost: The row of what a query cost, to be committed with them.
        :raises AuditUnavailable: when it is not certain that the row is on disk.
        """

        def made() -> Item:
            domain, user_id = row.get("domain"), row["user_id"]
            stored, subject = self._sealer.row(row, self.policy, domain)
            stored = {name: stored.get(name) for name in self._columns}
            self._log_rows.check(stored)
            if cost is not None:
                self._cost_rows.check(cost)
            hashed = canonical.record_hash([stored[name] for name in canonical.RECORD])
            actor = row.get("actor") or user_id
            event = self._event(row["id"], kind, domain, actor, user_id, record_hash=hashed)
            settle = None if claim is None else (claim, self._sealer.reply(reply, subject))
            return Item(event, stored, settle, cost=cost)

        self._delivery.write(made, row["id"], claim)

    def note(
        self,
        kind: str,
        *,
        actor: str | None = None,
        subject: str | None = None,
        detail: Detail = {},  # noqa: B006
        domain: str | None = None,
        work: Work | None = None,
        sealed_for_all: bool = False,
    ) -> str:
        """Record that something happened; it is on disk when this returns the event's id.

        :param kind: What happened, in at most 32 letters: ``model_activated``, ``egress_intent``.
        :param actor: The host's id of who did it; kept under a random name.
        :param subject: The host's id of whom it is about; *detail* is sealed under their key.
        :param detail: Whole numbers and short texts, no input and no name of a person.
        :param work: Called with a connection; what it executes there commits together with the
            event, and what it raises is raised here and nothing is committed.
        :param sealed_for_all: Seal *detail* under the deployment's key, which no erasure destroys.
        :raises AuditUnavailable: when it is not certain that the event is on disk.
        """
        id = new_id()

        def made() -> Item:
            return Item(
                self._event(id, kind, domain, actor, subject, detail, for_all=sealed_for_all),
                work=work,
            )

        self._delivery.write(made, id, None)
        return id

    def input_hash(
        self, kind: str, data: bytes, *, user_id: str | None, domain: str
    ) -> tuple[str, str]:
        """Return the keyed hash of an input, and which key it is under.

        Where the domain is sensitive it is the person's own key, so that after their erasure
        nobody can tell any more whether a known input was theirs.
        """
        try:
            if user_id is None or domain not in SENSITIVE:
                return self._fingerprint.of(kind, data), self._fingerprint.key_id
            return self.subjects.of(user_id).fingerprint(kind, data), "subject"
        except (sa.exc.SQLAlchemyError, OSError, KeyUnavailable) as error:
            raise AuditUnavailable(retry_after=1) from error

    def result(self, row: t.Any) -> t.Any:
        """Return the result of a row of the inference log in the clear.

        ``None`` where none is kept, and after the person's erasure.
        """
        return self._sealer.result(row.id, row.result)

    def detail(self, event: t.Any) -> dict[str, t.Any] | None:
        """Return what an event of the trail says, or ``None`` after the person's erasure."""
        return self._sealer.detail(event)

    def _event(
        self,
        id: str,
        kind: str,
        domain: str | None,
        actor: str | None,
        subject: str | None,
        detail: Detail = {},  # noqa: B006
        *,
        for_all: bool = False,
        record_hash: bytes | None = None,
    ) -> Event:
        event = Event(id, kind, time.time_ns() // 1000, domain, record_hash=record_hash)
        event = self._sealer.event(event, actor, subject, detail, for_all=for_all)
        self._event_rows.check(event.row())
        return event

    # Idempotency

    def claim(self, key_hash: str, request_hash: str) -> Claim | Reply:
        """Take the right to answer a key, or return the reply it had within the last day.

        :raises Conflict: while the first request is still being answered.
        :raises ValidationFailed: when the key came with another request before.
        """
        found = self.claims.take(key_hash, request_hash)
        if isinstance(found, Claim):
            return found
        reply = self._sealer.opened_reply(found)
        if reply is None:
            # The person of that answer was erased, and the answer with them.
            raise Conflict("This key was used before; its answer is not kept any more.")
        self.note("answer_replayed", detail={"of": _id_in(reply.body), "status": reply.status})
        return reply

    def release(self, claim: Claim) -> None:
        """Give up a claim, so that the next request with its key is answered anew."""
        self.claims.release(claim)

    def spooled(self) -> int:
        """Return how many rows wait on this machine for the database to come back."""
        shipping = self._delivery.shipping
        return 0 if shipping is None else shipping.spool.waiting()

    def forget_spooled(self, user_id: str, ref: str | None) -> int:
        """Forget a person in what waits on this machine; return how many rows were theirs."""
        self.subjects.forget_made_here(user_id)
        shipping = self._delivery.shipping
        if shipping is None:
            return 0
        blinds = self.subjects.blinds(b"user\0" + user_id.encode())
        return shipping.spool.forget(blinds, () if ref is None else (ref,))

    def scrub(self) -> None:
        """Let the database drop what was overwritten, as far as it can be asked to."""
        try:
            with self.database.walk() as walk:
                walk.ask(self._scrub, times=WHOLE)
        except DatabaseUnavailable:
            # The key is destroyed all the same.
            log.warning("what an erasure overwrote is left to the database's own cleaning")

    def _scrub(self, connection: sa.Connection) -> None:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        elif connection.dialect.name == "postgresql":
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.exec_driver_sql(f"VACUUM {self.subjects.table.name}")

    def drain(self) -> None:
        """Sign where the chains stand, before the process goes."""
        self._delivery.drain()

    def close(self) -> None:
        """Close this process's connection; a later row opens another."""
        self._delivery.close()


#: Made once: ``json.dumps`` would make one for each text.
_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def encode(body: t.Any) -> str:
    """Return *body* as JSON text, keys in their given order."""
    return _JSON.encode(body)


def _id_in(body: str) -> str | None:
    """Return the id that a remembered answer bears."""
    found = json.loads(body).get("id")
    return found if isinstance(found, str) else None
