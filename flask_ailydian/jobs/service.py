"""Jobs: handed in, watched, cancelled, cleared away."""

from __future__ import annotations

import collections.abc as c
import typing as t
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

from ..audit.claims import KEY_TAKEN
from ..audit.fingerprint import Fingerprint
from ..audit.keys import KeyUnavailable
from ..audit.ledger import Detail
from ..audit.ledger import Ledger
from ..clock import now
from ..errors import Conflict
from ..errors import NotFound
from ..errors import Overloaded
from ..errors import ValidationFailed
from ..inference import Inference
from ..registry import Registry
from ..settings import Settings
from .draft import Draft
from .holding import Holding
from .items import Asked
from .items import Items
from .queue import Queue
from .store import Job
from .store import OPEN
from .store import Store

#: After so long without a worker an open job is taken for forgotten.
NEGLECTED = timedelta(seconds=60)
PAGE = 100


class Jobs:
    """The jobs of one app.

    :param queue: Wakes the workers.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        registry: Registry,
        inference: Inference,
        ledger: Ledger,
        fingerprint: Fingerprint,
        folder: Path,
        queue: Queue,
    ) -> None:
        self._settings = settings
        self._store = store
        self._registry = registry
        self._ledger = ledger
        self._fingerprint = fingerprint
        self._holding = Holding(folder)
        self.queue = queue
        self.items = Items(settings, store, self._holding, ledger, inference)

    def draft(self, asked: Asked, *, key: str | None = None) -> Draft:
        """Begin a job; add its inputs, then submit it.

        :param key: The caller's ``Idempotency-Key``.
        :raises ModelNotFound: when no model of that name answers.
        :raises BackendUnavailable: where no broker is set up.
        :raises Overloaded: while too much is waiting.
        """
        self.queue.check()
        self._registry.resolve(asked.model_name, asked.model_version)
        self.purge()
        if self._store.waiting() >= self._settings.jobs_max_waiting:
            raise Overloaded("Too many inputs are waiting already.", retry_after=60)
        hashed = None
        if key is not None:
            hashed = self._fingerprint.of("job-key", "\0".join((asked.actor or "", key)).encode())
        return Draft(
            self._settings,
            self._store,
            self._holding,
            self._ledger,
            self.queue,
            asked,
            hashed,
            self.state,
            self._earlier,
        )

    def _earlier(self, key_hash: str, asked: Asked) -> dict[str, t.Any] | None:
        """Return how the job stands that came with a key before, if one did.

        :raises ValidationFailed: when that was another one: a key that somebody guesses shows
            nobody's job.
        """
        job = self._store.by_key(key_hash)
        if job is None:
            return None
        if self._asked(job) != asked:
            raise ValidationFailed(KEY_TAKEN, fields={"Idempotency-Key": [KEY_TAKEN]})
        return self.state(job.id)

    def _asked(self, job: Job) -> Asked | None:
        """Return what was asked; ``None`` after the erasure of who did."""
        try:
            return self.items.asked(job)
        except KeyUnavailable:
            return None

    def state(self, id: str) -> dict[str, t.Any]:
        """Return how a job stands, and wake workers for what has been left lying.

        :raises NotFound: when there is none.
        """
        job = self._store.get(id)
        if job.status == "open":
            self._wake_if_left(id)
            job = self._store.get(id)
        return self._shown(job)

    def check_owner(self, id: str, actor: str | None) -> None:
        """Refuse everybody but who handed the job in.

        :raises NotFound: when there is none, or it is somebody else's.
        """
        job = self._store.get(id)
        asked = self._asked(job)
        if asked is None or asked.actor != actor:
            raise NotFound("There is no such job.")

    def newest(self, count: int = 50) -> list[dict[str, t.Any]]:
        """Return how the jobs that came last stand."""
        return [self._shown(job) for job in self._store.newest(count)]

    def _shown(self, job: Job) -> dict[str, t.Any]:
        """Return how a job stands."""
        counts = self._store.counts(job.id)
        untouched = counts.get("waiting", 0) == job.total
        status = job.status if job.status != "open" else "queued" if untouched else "running"
        return {
            "id": job.id,
            "model_name": job.model_name,
            "status": status,
            "total": job.total,
            "done": counts.get("done", 0),
            "failed": counts.get("failed", 0),
            "cancelled": counts.get("cancelled", 0),
            "waiting": sum(counts.get(name, 0) for name in OPEN),
            "created_at": _iso(job.created_at),
            "finished_at": None if job.finished_at is None else _iso(job.finished_at),
        }

    def results(self, id: str, start: int = 0) -> c.Iterator[dict[str, t.Any]]:
        """Yield what came of each finished item, in order, from position *start* on."""
        while page := self._store.finished(id, start, PAGE):
            for row in page:
                yield self.items.shown(row)
            start = page[-1].position + 1

    def cancel(self, id: str, *, actor: str | None) -> dict[str, t.Any]:
        """Give up what nobody has begun; what is being answered is finished.

        :raises NotFound: when there is none.
        :raises Conflict: when the job has ended.
        """
        self._store.get(id)
        if not self._end(id, "cancelled", "job_cancelled", {"job": id}, actor=actor):
            raise Conflict("The job has ended already.")
        return self._shown(self._store.get(id))

    def work(self, id: str, *, seconds: float) -> float | None:
        """Answer items of a job for some time.

        :returns: After how many seconds there may be more to do; ``None``: the job has ended.
        """
        try:
            job = self._store.get(id)
        except NotFound:
            return None
        if job.status == "open" and job.expires_at <= now():
            self._expire(id)
        if job.status != "open" or job.expires_at <= now():
            return None
        self._store.touch(id, now())
        if self.items.work(job, seconds=seconds):
            return 0.0
        due = self._store.next_due(id)
        if due is not None:
            return max(0.5, (due - now()).total_seconds())
        self._finish(job)
        return None

    def sweep(self) -> int:
        """Wake workers for whatever waits, and clear away what is old; returns jobs woken."""
        for id in self._store.overdue(now()):
            self._expire(id)
        for id in self._store.stranded(now()):
            self._holding.drop(id, self._store.close_stranded(id, now()))
        self.purge()
        self._holding.sweep(self._store.unanswered())
        return sum(self._wake_if_left(id) for id in self._store.neglected(now() - NEGLECTED))

    def purge(self) -> None:
        """Remove jobs that ended long ago."""
        kept = timedelta(days=self._settings.jobs_kept_days)
        for id in self._store.old(now() - kept):
            self._store.remove(id)
            self._holding.drop_job(id)

    def erase(self, connection: sa.Connection, _: str, ref: str | None) -> int:
        """Empty what jobs hold about a person."""
        if ref is None:
            return 0
        theirs = self._store.of_subject(connection, ref)
        self._store.forget(connection, ref, now())
        for id, position in theirs:
            self._holding.drop(id, [position])
        return len(theirs)

    def export(
        self, connection: sa.Connection, _: str, ref: str | None
    ) -> c.Iterator[dict[str, t.Any]]:
        """Yield in which jobs a person's inputs are; the answers are with the inferences."""
        if ref is not None:
            for id, position in self._store.of_subject(connection, ref):
                yield {"job": id, "position": position}

    def _wake_if_left(self, id: str) -> bool:
        """Wake workers for a job that none has had in hand lately; one caller of many does."""
        if not self._store.touch(id, now(), before=now() - NEGLECTED):
            return False
        if self._store.next_due(id) is None:
            self._finish(self._store.get(id))
            return False
        self.queue.wake(id, self._settings.jobs_parallel)
        return True

    def _finish(self, job: Job) -> None:
        counts = self._store.counts(job.id)
        detail: dict[str, int | str | None] = {"job": job.id}
        detail |= {name: counts.get(name, 0) for name in ("done", "failed")}
        self._end(job.id, "done", "job_finished", detail)

    def _expire(self, id: str) -> None:
        self._end(id, "expired", "job_expired", {"job": id})

    def _end(
        self, id: str, status: str, kind: str, detail: Detail, *, actor: str | None = None
    ) -> bool:
        """End a job, giving up what nobody has begun; ``False`` when it had ended already."""
        given_up: list[int] = []

        def work(connection: sa.Connection) -> None:
            # Of several workers that find nothing left, one says so.
            if not self._store.end(connection, id, status, now()):
                raise _Ended
            given_up[:] = self._store.close_waiting(connection, id, "cancelled")

        try:
            self._ledger.note(kind, actor=actor, detail=detail, work=work)
        except _Ended:
            return False
        self._holding.drop(id, given_up)
        return True


class _Ended(Exception):
    """The job was ended by somebody else."""


def _iso(moment: t.Any) -> str:
    return f"{moment.isoformat(timespec='seconds')}Z"
