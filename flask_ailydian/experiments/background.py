"""Work that never keeps a request waiting: one thread per process, made on first use."""

from __future__ import annotations

import collections
import collections.abc as c
import contextlib
import logging
import os
import threading
import time
import typing as t

from ..engine.forks import restart_in_children

log = logging.getLogger("flask_ailydian.experiments")

#: So long a job waits for a moment without requests before it is dropped.
PATIENCE_SECONDS = 5.0

Job = c.Callable[[], None]


class Background:
    """A bounded queue and the one thread that empties it while no request is being answered.

    What does not fit, or waits too long, is dropped: requests come first.
    """

    def __init__(self, limit: int, patience: float = PATIENCE_SECONDS) -> None:
        self._limit = limit
        self._patience = patience
        self.start_anew()
        restart_in_children(self)

    def start_anew(self) -> None:
        """Forget what waits, and who is being answered."""
        self._wake = threading.Condition()
        self._jobs: collections.deque[tuple[float, t.Any, Job]] = collections.deque()
        self._answering = 0
        self._running = False
        self._thread: threading.Thread | None = None
        self.dropped = 0

    @contextlib.contextmanager
    def answering(self) -> t.Iterator[None]:
        """Hold the thread back while a request is being answered."""
        with self._wake:
            self._answering += 1
        try:
            yield
        finally:
            with self._wake:
                self._answering -= 1
                if not self._answering and self._jobs:
                    self._wake.notify_all()

    def offer(self, app: t.Any, job: Job) -> bool:
        """Do *job* later in the context of *app*; ``False`` when there is no room."""
        with self._wake:
            if len(self._jobs) >= self._limit:
                self.dropped += 1
                return False
            self._jobs.append((time.monotonic() + self._patience, app, job))
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._work, name="ailydian-background", daemon=True
                )
                self._thread.start()
            self._wake.notify_all()
        return True

    def join(self, timeout: float = 10.0) -> bool:
        """Wait until nothing is left to do, for tests and for commands that end."""
        with self._wake:
            return self._wake.wait_for(lambda: not self._jobs and not self._running, timeout)

    def _work(self) -> None:
        # Linux keeps a priority per thread: shadows take only what requests leave over.
        with contextlib.suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        while True:
            app, job = self._next()
            try:
                with app.app_context():
                    job()
            except Exception as error:
                log.warning("a background job failed: %s", type(error).__name__)
            finally:
                # The job may hold an input: it is not kept until the next one comes.
                del job
                with self._wake:
                    self._running = False
                    self._wake.notify_all()

    def _next(self) -> tuple[t.Any, Job]:
        with self._wake:
            while True:
                if not self._jobs:
                    self._wake.wait()
                    continue
                due, app, job = self._jobs[0]
                left = due - time.monotonic()
                if self._answering and left > 0:
                    self._wake.wait(left)
                    continue
                self._jobs.popleft()
                if self._answering:
                    self.dropped += 1
                    self._wake.notify_all()
                    continue
                self._running = True
                return app, job
