"""What a person may ask for: a copy, an erasure, a correction."""

from __future__ import annotations

import collections.abc as c
import functools
import json
import time
import typing as t

import sqlalchemy as sa

from ..clock import now
from ..errors import NotFound
from ..errors import ValidationFailed
from ..tables import Tables
from .ledger import Ledger
from .policy import Policy
from .retention import Purged
from .retention import Retention

SCHEMA = "flask-ailydian/export/1"
#: What a correction may say, in characters.
MAX_CORRECTION = 4000

#: Yields what another room keeps about a person, by the host's id and by the random name.
Exporter = c.Callable[[sa.Connection, str, str | None], c.Iterable[dict[str, t.Any]]]
#: Makes another room forget a person, inside the transaction; returns how many rows it met.
Eraser = c.Callable[[sa.Connection, str, str | None], int]


class Privacy:
    """The rights of the persons whom rows are about.

    Other rooms that keep rows about persons add themselves to ``exporters`` and ``erasers``, and
    to ``pruners`` where their rows end on days of their own.
    """

    def __init__(self, ledger: Ledger, tables: Tables, policy: Policy, retention: Retention):
        self._ledger = ledger
        self._tables = tables
        self._policy = policy
        self._retention = retention
        self.exporters: dict[str, Exporter] = {}
        self.erasers: dict[str, Eraser] = {}
        self.pruners: list[c.Callable[[], int]] = []

    def export(self, user_id: str, *, actor: str | None = None) -> t.Iterator[str]:
        """Yield the JSON of everything that is kept about a person, in pieces.

        That it was given is on record before the first piece comes.

        :raises NotFound: when nothing is kept.
        """
        ref = self._ledger.subjects.find(user_id)
        if ref is None and not self._rows(user_id, ref):
            raise NotFound("Nothing is kept about this person.")
        self._ledger.note("export", actor=actor, subject=user_id)
        return self._pieces(user_id, self._ledger.subjects.find(user_id))

    def _pieces(self, user_id: str, ref: str | None) -> t.Iterator[str]:
        head = {"schema": SCHEMA, "user_id": user_id, "generated_at": _iso(now())}
        yield json.dumps(head, ensure_ascii=False)[:-1]
        recipients: set[str] = set()
        exporters: dict[str, Exporter] = {
            "inferences": self._inferences,
            "events": functools.partial(self._events, recipients),
            **self.exporters,
        }
        with self._ledger.database.walk() as walk:
            for name, exporter in exporters.items():
                read = functools.partial(_pieced, exporter, user_id, ref)
                yield from _array(name, walk.steps(read))
        yield ', "recipients": ' + json.dumps(sorted(recipients), ensure_ascii=False) + "}"

    def _inferences(
        self, connection: sa.Connection, user_id: str, ref: str | None
    ) -> t.Iterator[dict[str, t.Any]]:
        logs, models = self._tables.InferenceLog.__table__, self._tables.Model.__table__
        names = (models.c.model_name, models.c.model_version)
        query = (
            sa.select(logs, *names)
            .select_from(logs.outerjoin(models, models.c.id == logs.c.model_id))
            .where(logs.c.user_id.in_([user_id, ref or user_id]))
            .order_by(logs.c.id)
        )
        for row in connection.execute(query):
            found = {k: v for k, v in row._mapping.items() if k not in ("user_id", "model_id")}
            found["result"] = self._ledger.result(row)
            found["created_at"] = _iso(row.created_at)
            found["cost_usd"] = None if row.cost_usd is None else str(row.cost_usd)
            yield found

    def _events(
        self, recipients: set[str], connection: sa.Connection, _: str, ref: str | None
    ) -> t.Iterator[dict[str, t.Any]]:
        if ref is None:
            return
        table = self._tables.AuditEvent.__table__
        mine = sa.or_(table.c.subject_ref == ref, table.c.actor_ref == ref)
        for event in connection.execute(table.select().where(mine).order_by(table.c.id)):
            about = event.subject_ref == ref
            detail = self._ledger.detail(event) if about else {}
            if event.kind == "egress_intent" and detail:
                recipients.update(str(v) for k, v in detail.items() if k in ("to", "backend"))
            yield {
                "id": event.id,
                "kind": event.kind,
                "at": _iso_us(event.created_us),
                "role": "subject" if about else "actor",
                "domain": event.domain,
                "detail": detail,
            }

    def erase(self, user_id: str, *, actor: str | None = None) -> dict[str, t.Any]:
        """Destroy a person's key, and every mention of who they are.

        Counts and daily figures stay. Doing it twice does no harm. What waits in this machine's
        spool is theirs no more either; in another machine's a person stays whom the database has
        not met yet.

        :returns: ``erased``, whether anything was there, and ``rows``, how many inference rows.
        :raises AuditUnavailable: when it is not certain that it was done.
        """
        subjects = self._ledger.subjects
        # The spool first: what was shipped from it in between would be known to the database.
        spooled = self._ledger.forget_spooled(user_id, subjects.find(user_id))
        ref = subjects.find(user_id)
        rows = spooled + self._rows(user_id, ref)
        logs = self._tables.InferenceLog.__table__
        mine = logs.c.user_id.in_([user_id, ref or user_id])

        def work(connection: sa.Connection) -> None:
            connection.execute(logs.update().where(mine).values(user_id=None))
            for eraser in self.erasers.values():
                eraser(connection, user_id, ref)
            if ref is not None and not subjects.separate:
                subjects.destroy(connection, ref)

        if ref is not None and subjects.separate:
            # The key first: without it the rest is already unreadable.
            subjects.destroy_apart(ref)
        own = actor == user_id
        self._ledger.note(
            "erasure",
            actor=None if own else actor,
            detail={"rows": rows, "subject": ref, "by": "the person" if own else "the host"},
            sealed_for_all=True,
            work=work,
        )
        if ref is not None:
            subjects.forget({ref})
        self._ledger.scrub()
        return {"erased": ref is not None or rows > 0, "rows": rows}

    def _rows(self, user_id: str, ref: str | None) -> int:
        logs = self._tables.InferenceLog.__table__
        query = sa.select(sa.func.count()).where(logs.c.user_id.in_([user_id, ref or user_id]))
        with self._ledger.database.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def correct(self, id: str, text: str, *, actor: str | None = None) -> str:
        """Append what is right about an earlier answer; the answer's own row stays as it was.

        :returns: The id of the event.
        :raises NotFound: when there is no such answer.
        """
        if not text.strip() or len(text) > MAX_CORRECTION or "\0" in text:
            message = f"1 to {MAX_CORRECTION} characters."
            raise ValidationFailed(message, fields={"text": [message]})
        table = self._tables.AuditEvent.__table__
        with self._ledger.database.connect() as connection:
            event = connection.execute(table.select().where(table.c.id == id)).first()
        if event is None or event.record_hash is None:
            raise NotFound("There is no answer with this id.")
        subject = None
        if event.subject_ref is not None:
            subject = self._ledger.subjects.identity(event.subject_ref)
        return self._ledger.note(
            "correction",
            actor=actor,
            subject=subject,
            domain=event.domain,
            detail={"of": id, "text": text},
        )

    def retain(
        self, *, older_than: int | None = None, dry_run: bool = False, actor: str | None = None
    ) -> Purged:
        """Take away what is older than its domain's days, and record that it was done.

        :param older_than: Days for every domain in place of the settings'; never under 183.
        """
        done = self._retention.run(older_than=older_than, dry_run=dry_run)
        if not dry_run:
            for prune in self.pruners:
                prune()
        if not dry_run and (done.events or done.checkpoints or done.partitions):
            counts: dict[str, int | str | None] = {"events": done.events, "records": done.records}
            counts |= {"checkpoints": done.checkpoints, **done.tables}
            if done.partitions:
                counts["partitions"] = len(done.partitions)
            self._ledger.note("retention", actor=actor, detail=counts)
        return done

    def ropa(self) -> list[dict[str, t.Any]]:
        """Return the records of processing (GDPR art. 30) as far as this package knows them."""
        models = self._tables.Model.__table__
        query = sa.select(models.c.domain, models.c.model_name).distinct()
        by_domain: dict[str, list[str]] = {}
        with self._ledger.database.connect() as connection:
            for domain, name in connection.execute(query.order_by(models.c.model_name)):
                by_domain.setdefault(domain, []).append(name)
        return [
            {
                "domain": domain,
                "purpose": self._policy.purpose(domain),
                "models": names,
                "data": ["opaque id of the person", "keyed fingerprint of the input"]
                + ([] if self._policy.result(domain, {"prediction": ""}) is None else ["result"]),
                "input_kept": False,
                "retention_days": self._policy.keeps_days(domain),
                "measures": ["AES-256-GCM under a key per person", "append-only signed trail"],
            }
            for domain, names in sorted(by_domain.items())
        ]


def _pieced(
    exporter: Exporter, user_id: str, ref: str | None, connection: sa.Connection
) -> c.Iterable[dict[str, t.Any]]:
    """Return what *exporter* yields, read from the server in pieces."""
    return exporter(connection.execution_options(yield_per=200), user_id, ref)


def _array(name: str, items: c.Iterable[dict[str, t.Any]]) -> t.Iterator[str]:
    yield f', "{name}": ['
    for i, item in enumerate(items):
        yield ("" if i == 0 else ", ") + json.dumps(item, ensure_ascii=False, default=str)
    yield "]"


def _iso(moment: t.Any) -> str:
    return f"{moment.isoformat(timespec='microseconds')}Z"


def _iso_us(microseconds: int) -> str:
    seconds, rest = divmod(microseconds, 10**6)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:06d}Z"
