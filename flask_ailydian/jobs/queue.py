"""Celery as an alarm clock: its messages only say that a job has work, the database says what.

A lost or doubled message therefore does no harm.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import threading
import typing as t

from flask import current_app
from flask import Flask

from ..engine.forks import restart_in_children
from ..errors import BackendUnavailable

log = logging.getLogger("flask_ailydian.jobs")

TASK = "flask_ailydian.work_on_job"
QUEUE = "ailydian"
#: Seconds that one message is worked on before other jobs have their turn.
TURN = 15.0
#: Seconds after which Redis hands a message out again whose worker was killed.
UNSEEN = 120
MISSING = "Jobs need Celery: pip install 'flask-ailydian[jobs]', and set AILYDIAN_JOBS_BROKER."


class Queue:
    """Wakes workers by way of Celery: an app of our own, or the host's."""

    def __init__(self, broker: str) -> None:
        self._broker = broker
        self._given: t.Any = None
        self.start_anew()
        restart_in_children(self)

    def start_anew(self) -> None:
        """Forget the connections of the process before the fork."""
        self._lock = threading.Lock()
        self._own: t.Any = None

    def use(self, celery: t.Any) -> None:
        """Wake workers through *celery*, the host's own app; its workers then answer jobs.

        Call it in the application's context.
        """
        self._given = celery
        _register(celery, current_app._get_current_object())  # type: ignore[attr-defined]

    def check(self) -> None:
        """Raise :class:`BackendUnavailable` where jobs are not set up."""
        if self._given is None and (not self._broker or importlib.util.find_spec("celery") is None):
            raise BackendUnavailable(MISSING)

    def celery(self) -> t.Any:
        """Return the Celery app, made on first use."""
        self.check()
        if self._given is not None:
            return self._given
        with self._lock:
            if self._own is None:
                made = importlib.import_module("celery").Celery(
                    "flask_ailydian", broker=self._broker
                )
                made.conf.update(
                    broker_connection_retry_on_startup=True,
                    broker_connection_timeout=3,
                    broker_transport_options={
                        "visibility_timeout": UNSEEN,
                        "socket_connect_timeout": 3,
                        "socket_timeout": 10,
                    },
                    task_default_queue=QUEUE,
                    task_ignore_result=True,
                    worker_prefetch_multiplier=1,
                )
                _register(made, current_app._get_current_object())  # type: ignore[attr-defined]
                self._own = made
            return self._own

    def reach(self) -> None:
        """Raise :class:`BackendUnavailable` while the broker does not answer."""
        try:
            with self.celery().connection_for_write() as connection:
                connection.ensure_connection(max_retries=1, timeout=3)
        except BackendUnavailable:
            raise
        except Exception as error:
            # Each transport has errors of its own.
            log.warning("the broker of jobs does not answer: %s", type(error).__name__)
            raise BackendUnavailable("The queue of jobs cannot be reached.") from error

    def wake(self, job_id: str, count: int, *, after: float = 0.0) -> None:
        """Tell *count* workers that a job has work; a broker that is away is told later."""
        task = self.celery().tasks[TASK]
        try:
            for _ in range(count):
                task.apply_async((job_id,), countdown=after or None, retry=False)
        except Exception as error:
            log.warning("workers could not be woken: %s", type(error).__name__)


def _register(celery: t.Any, app: Flask) -> None:
    def work_on_job(job_id: str) -> None:
        with app.app_context():
            jobs = app.extensions["ailydian"].jobs
            more = jobs.work(job_id, seconds=TURN)
            if more is not None:
                jobs.queue.wake(job_id, 1, after=more)

    # Acknowledged when done: the message of a worker that is killed comes again.
    celery.task(
        work_on_job,
        name=TASK,
        acks_late=True,
        reject_on_worker_lost=True,
        ignore_result=True,
        # Of this Celery app alone: another Flask app in the process has its own.
        shared=False,
    )
