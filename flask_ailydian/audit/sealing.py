"""What of a row and an event is about a person, sealed under that person's key."""

from __future__ import annotations

import base64
import collections.abc as c
import json
import typing as t

from . import canonical
from .chain import Event
from .claims import Reply
from .keys import KeyUnavailable
from .policy import Policy
from .subjects import Subject
from .subjects import Subjects
from .writer import Item

MARK = "sealed:"

Detail = c.Mapping[str, t.Any]


class Sealer:
    """Seals and opens on behalf of one ledger."""

    def __init__(self, subjects: Subjects) -> None:
        self._subjects = subjects

    def event(
        self,
        event: Event,
        actor: str | None,
        subject: str | None,
        detail: Detail,
        *,
        for_all: bool = False,
    ) -> Event:
        """Return *event* with references in place of ids, and *detail* sealed.

        :param for_all: Under the deployment's key, so that no erasure makes it unreadable.
        """
        if actor is None and subject is None and not detail:
            return event
        about = None if subject is None else self._subjects.of(subject)
        by = about if actor == subject else None if actor is None else self._subjects.of(actor)
        event = event._replace(
            actor_ref=None if by is None else by.ref,
            subject_ref=None if about is None else about.ref,
        )
        if not detail:
            return event
        personal = None if for_all else about or by
        return sealed(event, personal or self._subjects.deployment(), detail)

    def row(
        self, row: dict[str, t.Any], policy: Policy, domain: str | None
    ) -> tuple[dict[str, t.Any], Subject | None]:
        """Return an inference row as it is stored, and whom it is about."""
        stored = dict(row)
        stored["result"] = policy.result(domain, row["result"])
        stored["purpose"] = policy.purpose(domain)
        for name in ("inference_time_ms", "confidence"):
            # As the column will give it back: its hash is over the bits.
            stored[name] = None if row[name] is None else float(row[name])
        if row["user_id"] is None:
            return stored, None
        subject = self._subjects.of(row["user_id"])
        if policy.sealed_identity:
            stored["user_id"] = subject.ref
        if stored["result"] is not None:
            stored["result"] = self._text(json.dumps(stored["result"]), subject, row["id"])
        return stored, subject

    def result(self, id: str, stored: t.Any) -> t.Any:
        """Return the result of a stored row in the clear, or ``None`` after erasure."""
        if not isinstance(stored, str) or not stored.startswith(MARK):
            return stored
        try:
            return json.loads(self._opened(stored, id))
        except KeyUnavailable:
            return None

    def detail(self, event: t.Any) -> dict[str, t.Any] | None:
        """Return what an event says beside its columns, or ``None`` after erasure."""
        if event.payload is None:
            return {}
        try:
            under = self._subjects.by_ref(event.sealed_ref)
            return dict(json.loads(under.open(event.payload, f"event {event.id}")))
        except KeyUnavailable:
            return None

    def reply(self, reply: Reply | None, subject: Subject | None) -> dict[str, t.Any] | None:
        """Return what is remembered under an idempotency key."""
        if reply is None:
            return None
        body = reply.body if subject is None else self._text(reply.body, subject, "reply")
        return {"status": reply.status, "body": body}

    def opened_reply(self, reply: Reply) -> Reply | None:
        """Return a remembered reply in the clear, or ``None`` after erasure."""
        if not reply.body.startswith(MARK):
            return reply
        try:
            return Reply(reply.status, self._opened(reply.body, "reply"))
        except KeyUnavailable:
            return None

    def _text(self, plain: str, subject: Subject, what: str) -> str:
        return _text(plain.encode(), subject, what)

    def _opened(self, text: str, what: str) -> str:
        _, ref, sealed = text.split(":")
        return self._subjects.by_ref(ref).open(base64.b64decode(sealed), what).decode()


def sealed(event: Event, under: Subject, detail: Detail) -> Event:
    """Return *event* with *detail* sealed."""
    plain = json.dumps(dict(detail), sort_keys=True, separators=(",", ":"), allow_nan=False)
    payload = under.seal(plain.encode(), f"event {event.id}")
    return event._replace(sealed_ref=under.ref, payload=payload)


def _text(plain: bytes, subject: Subject, what: str) -> str:
    return f"{MARK}{subject.ref}:{base64.b64encode(subject.seal(plain, what)).decode()}"


def moved(item: Item, old: Subject, new: Subject) -> Item:
    """Return *item* about *new* in place of *old*, before it is linked: the same person.

    A fingerprint stays as it was made: it dies with the old key, and equals no later one.
    """

    def ref(given: str | None) -> str | None:
        return new.ref if given == old.ref else given

    def text(given: t.Any, what: str) -> t.Any:
        if not isinstance(given, str) or not given.startswith(f"{MARK}{old.ref}:"):
            return given
        return _text(old.open(base64.b64decode(given.rsplit(":", 1)[1]), what), new, what)

    event, log, settle = item.event, item.log, item.settle
    payload, what = event.payload, f"event {event.id}"
    if payload is not None and event.sealed_ref == old.ref:
        payload = new.seal(old.open(payload, what), what)
    record_hash = event.record_hash
    if log is not None:
        result = text(log["result"], event.id)
        log = log | {"user_id": ref(log["user_id"]), "result": result}
        record_hash = canonical.record_hash([log[name] for name in canonical.RECORD])
    if settle is not None and settle[1] is not None:
        settle = (settle[0], settle[1] | {"body": text(settle[1]["body"], "reply")})
    event = event._replace(
        actor_ref=ref(event.actor_ref),
        subject_ref=ref(event.subject_ref),
        sealed_ref=ref(event.sealed_ref),
        payload=payload,
        record_hash=record_hash,
    )
    return Item(event, log, settle)


def of_nobody(item: Item, gone: c.Collection[str | None]) -> Item:
    """Return *item* without the persons of *gone*: the answer is counted, and it is nobody's."""
    event, log = item.event, item.log
    actor = None if event.actor_ref in gone else event.actor_ref
    subject = None if event.subject_ref in gone else event.subject_ref
    if log is not None and subject is None:
        log = log | {"user_id": None}
    event = event._replace(actor_ref=actor, subject_ref=subject)
    return Item(event, log, item.settle)
