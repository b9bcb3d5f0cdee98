"""What must be looked after while rows are written: one thread per process, made when needed."""

from __future__ import annotations

import collections.abc as c
import logging
import threading
import weakref

log = logging.getLogger("flask_ailydian.audit")

#: How often it looks, in seconds.
PACE = 0.1


class Keeper:
    """Calls *tick* every *pace* seconds for as long as it returns that there is more to do.

    :param tick: A bound method; its object may go away at any time, and the thread ends then.
    """

    def __init__(self, tick: c.Callable[[], bool], pace: float = PACE) -> None:
        self._tick = weakref.WeakMethod(tick)
        self._pace = pace
        self._wake = threading.Event()
        self._over = False
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def touch(self) -> None:
        """Say that there is something to look after."""
        if self._thread is None:
            with self._lock:
                if self._thread is None and not self._over:
                    self._thread = threading.Thread(
                        target=self._run, name="ailydian-keeper", daemon=True
                    )
                    self._thread.start()
        if not self._wake.is_set():
            self._wake.set()

    def stop(self) -> None:
        """End the thread, and wait a moment for it."""
        self._over = True
        self._wake.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(1.0)

    def _run(self) -> None:
        pause = threading.Event()
        while not self._over:
            self._wake.wait()
            self._wake.clear()
            while not self._over and self._once():
                pause.wait(self._pace)

    def _once(self) -> bool:
        tick = self._tick()
        if tick is None:
            self._over = True
            return False
        try:
            return bool(tick())
        except Exception as error:
            log.warning("looking after the trail failed: %s", type(error).__name__)
            return True
