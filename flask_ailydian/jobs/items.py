"""One input of a job after the other: taken, answered, settled."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import json
import time
import typing as t
from datetime import timedelta
from pathlib import Path

from ..audit.claims import Claim
from ..audit.claims import Reply
from ..audit.keys import KeyUnavailable
from ..audit.ledger import encode
from ..audit.ledger import Ledger
from ..audit.subjects import Subject
from ..clock import now
from ..errors import AilydianError
from ..errors import Conflict
from ..errors import ImageTooLarge
from ..errors import InvalidInput
from ..inference import Inference
from ..prediction import Given
from ..settings import Settings
from .holding import Holding
from .holding import read_stored
from .store import Job
from .store import Store

#: How often an item is tried while the server is busy, and the first pause in seconds.
ATTEMPTS, PAUSE = 6, 1.0
#: Seconds that an item may take beside its deadline before its worker counts as killed.
GRACE = 5.0


@dataclasses.dataclass(frozen=True)
class Asked:
    """Who handed a job in, and what is asked about each of its inputs."""

    model_name: str
    actor: str | None = None
    model_version: str | None = None
    user_id: str | None = None
    top_k: int | None = None
    explain: bool = False
    #: Of the inputs, so that a repeated request can be told from another one.
    inputs: str | None = None


@dataclasses.dataclass(frozen=True)
class Entry:
    """Where an input is: handed in with the job, in a storage, or not taken at all."""

    storage: str | None = None
    path: str | None = None
    user_id: str | None = None
    refused: str | None = None

    def to_json(self) -> str:
        """Return it as JSON, without what is not said."""
        said = {k: v for k, v in dataclasses.asdict(self).items() if v is not None}
        return json.dumps(said, ensure_ascii=False)


def place(job_id: str, position: int, what: str) -> str:
    """Return what binds a sealed thing to one item, and to what it is."""
    return f"job {job_id} {position} {what}"


class Items:
    """Answers the items of jobs, each exactly once on record."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        holding: Holding,
        ledger: Ledger,
        inference: Inference,
    ) -> None:
        self._settings = settings
        self._store = store
        self._holding = holding
        self._ledger = ledger
        self._inference = inference

    def asked(self, job: Job) -> Asked:
        """Return what was asked.

        :raises KeyUnavailable: after the erasure of who asked.
        """
        subject = self._ledger.subjects.by_ref(job.subject_ref)
        return Asked(**json.loads(subject.open(job.asked, f"job {job.id}")))

    def work(self, job: Job, *, seconds: float) -> bool:
        """Answer items for some time; whether it ended before they did."""
        stop = time.monotonic() + seconds
        asked = self.asked(job)
        while time.monotonic() < stop:
            lease = timedelta(seconds=self._settings.timeout_seconds + GRACE)
            row = self._store.take(job.id, now(), now() + lease)
            if row is None:
                return False
            self._answer(job, asked, row)
        return True

    def shown(self, row: t.Any) -> dict[str, t.Any]:
        """Return what came of a finished item."""
        line: dict[str, t.Any] = {"position": row.position, "status": row.status}
        if row.error is not None:
            line["error"] = row.error
        if row.result is not None:
            try:
                subject = self._ledger.subjects.by_ref(row.subject_ref)
                plain = subject.open(row.result, place(row.job_id, row.position, "result"))
            except KeyUnavailable:
                return {"position": row.position, "status": "erased"}
            line["result"] = json.loads(plain)
        return line

    def _answer(self, job: Job, asked: Asked, row: t.Any) -> None:
        try:
            subject = self._ledger.subjects.by_ref(row.subject_ref)
        except KeyUnavailable:
            self._store.settle(job.id, row.position, status="erased", source=None)
            return
        try:
            body = self._body(job, asked, row, subject)
        except Conflict as error:
            # A worker that was killed holds the item's claim until it is stale.
            self._later(job, row, float(error.retry_after or 1))
            return
        except AilydianError as error:
            if error.status == 503 and row.attempts < ATTEMPTS:
                self._later(job, row, PAUSE * 2.0 ** (row.attempts - 1))
                return
            body = error.body()
        self._store.settle(
            job.id,
            row.position,
            status="done" if body["success"] else "failed",
            error=body.get("error"),
            source=None,
            result=subject.seal(encode(body).encode(), place(job.id, row.position, "result")),
        )
        self._holding.drop(job.id, [row.position])

    def _later(self, job: Job, row: t.Any, seconds: float) -> None:
        due = now() + timedelta(seconds=seconds)
        if not self._store.put_back(job.id, row.position, due):
            self._holding.drop(job.id, [row.position])

    def _body(self, job: Job, asked: Asked, row: t.Any, subject: Subject) -> dict[str, t.Any]:
        found = self._inference.claim(place(job.id, row.position, "answer"), "", b"")
        if isinstance(found, Reply):
            # Its worker was killed after the answer was on record, and before it was settled here.
            return t.cast(dict[str, t.Any], json.loads(found.body))
        claim: Claim = found
        entry = Entry(**json.loads(subject.open(row.source, place(job.id, row.position, "source"))))
        return self._inference.answer(
            self._reader(job, asked, entry, row.position, subject),
            actor=asked.actor,
            claim=claim,
        )

    def _reader(
        self,
        job: Job,
        asked: Asked,
        entry: Entry,
        position: int,
        subject: Subject,
    ) -> c.Callable[[], Given]:
        def read() -> Given:
            most = self._settings.max_image_bytes
            if entry.refused is not None:
                raise ImageTooLarge(f"At most {most} bytes are accepted.")
            if entry.path is None:
                try:
                    data = subject.open(
                        self._holding.get(job.id, position), place(job.id, position, "input")
                    )
                except KeyUnavailable as error:
                    raise InvalidInput("The input that was kept is damaged.") from error
            else:
                root = Path(self._settings.jobs_storage[t.cast(str, entry.storage)])
                data = read_stored(root, entry.path, max_bytes=most)
            return Given(
                asked.model_name,
                image=data,
                model_version=asked.model_version,
                user_id=entry.user_id or asked.user_id,
                top_k=asked.top_k,
                explain=asked.explain,
            )

        return read
