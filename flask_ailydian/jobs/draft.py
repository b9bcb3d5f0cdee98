"""A job in the making: its inputs are sealed one by one, then it is put on record whole."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import hashlib
import json
import typing as t
from datetime import timedelta

import sqlalchemy as sa

from ..audit.keys import KeyUnavailable
from ..audit.ledger import Ledger
from ..audit.subjects import Subject
from ..clock import new_id
from ..clock import now
from ..errors import AuditUnavailable
from ..errors import ValidationFailed
from ..settings import Settings
from .holding import Holding
from .items import Asked
from .items import Entry
from .items import place
from .queue import Queue
from .store import Store

#: After so long an unanswered item is given up: under the day for which a key is remembered,
#: so that an item is never answered twice.
LIFETIME = timedelta(hours=23)


class Draft:
    """A job whose inputs are being handed in; as a context manager, dropped unless submitted."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        holding: Holding,
        ledger: Ledger,
        queue: Queue,
        asked: Asked,
        key_hash: str | None,
        show: c.Callable[[str], dict[str, t.Any]],
        earlier: c.Callable[[str, Asked], dict[str, t.Any] | None],
    ) -> None:
        self.id = new_id()
        self._store = store
        self._queue = queue
        self._show = show
        self._earlier = earlier
        self._inputs = hashlib.sha256()
        self._holding = holding
        self._ledger = ledger
        self._settings = settings
        self._asked = asked
        self._key_hash = key_hash
        self._rows: list[dict[str, t.Any]] = []
        self._submitted = False
        self._persons: dict[str | None, Subject] = {}

    def __enter__(self) -> Draft:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._submitted:
            self._holding.drop_job(self.id)

    def upload(self, data: bytes) -> None:
        """Add an input that was sent with the job."""
        position = self._room()
        subject = self._subject()
        self._holding.put(self.id, position, subject.seal(data, place(self.id, position, "input")))
        self._add(subject, Entry(), hashlib.sha256(data).hexdigest())

    def refuse(self, code: str) -> None:
        """Add an input that was not taken; it is answered with that error, and on record."""
        self._room()
        self._add(self._subject(), Entry(refused=code))

    def stored(self, storage: str, path: str, user_id: str | None = None) -> None:
        """Add a file of a registered storage."""
        if storage not in self._settings.jobs_storage:
            raise ValidationFailed(fields={"manifest": [f"There is no storage {storage!r}."]})
        self._room()
        self._add(self._subject(user_id), Entry(storage=storage, path=path, user_id=user_id))

    def submit(self) -> dict[str, t.Any]:
        """Put the job on record and wake the workers; return how it stands.

        :raises BackendUnavailable: when the broker cannot be reached; then there is no job.
        """
        if not self._rows:
            raise ValidationFailed(fields={"image": ["At least one input."]})
        asked = dataclasses.replace(self._asked, inputs=self._inputs.hexdigest())
        if self._key_hash is not None and (shown := self._earlier(self._key_hash, asked)):
            return shown
        self._queue.reach()
        subject = self._subject()
        moment = now()
        job = {
            "id": self.id,
            "key_hash": self._key_hash,
            "model_name": self._asked.model_name,
            "subject_ref": subject.ref,
            "asked": subject.seal(json.dumps(dataclasses.asdict(asked)).encode(), f"job {self.id}"),
            "status": "open",
            "total": len(self._rows),
            "created_at": moment,
            "expires_at": moment + LIFETIME,
            "woken_at": moment,
        }
        for row in self._rows:
            row["due_at"] = moment

        def work(connection: sa.Connection) -> None:
            self._store.insert(connection, job, self._rows)

        detail: dict[str, int | str | None] = {"job": self.id, "model": self._asked.model_name}
        detail["items"] = len(self._rows)
        try:
            self._ledger.note("job_submitted", actor=self._asked.actor, detail=detail, work=work)
        except sa.exc.IntegrityError:
            # The same key came twice at once, and the other was first.
            if self._key_hash is None or (shown := self._earlier(self._key_hash, asked)) is None:
                raise
            return shown
        self._submitted = True
        self._queue.wake(self.id, min(len(self._rows), self._settings.jobs_parallel))
        return self._show(self.id)

    def _room(self) -> int:
        if len(self._rows) >= self._settings.jobs_max_items:
            most = self._settings.jobs_max_items
            raise ValidationFailed(fields={"image": [f"At most {most} inputs."]})
        return len(self._rows)

    def _add(self, subject: Subject, entry: Entry, digest: str = "") -> None:
        position = len(self._rows)
        self._inputs.update(f"{digest}{entry.to_json()}\n".encode())
        self._rows.append(
            {
                "job_id": self.id,
                "position": position,
                "subject_ref": subject.ref,
                "status": "waiting",
                "attempts": 0,
                "source": subject.seal(
                    entry.to_json().encode(), place(self.id, position, "source")
                ),
            }
        )

    def _subject(self, user_id: str | None = None) -> Subject:
        """Return who an input is sealed for: whom it is about, or else who handed it in."""
        user_id = user_id or self._asked.user_id or self._asked.actor
        if user_id not in self._persons:
            subjects = self._ledger.subjects
            try:
                found = subjects.deployment() if user_id is None else subjects.of(user_id)
            except (sa.exc.SQLAlchemyError, OSError, KeyUnavailable) as error:
                raise AuditUnavailable(retry_after=1) from error
            self._persons[user_id] = found
        return self._persons[user_id]
