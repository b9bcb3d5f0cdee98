"""Circuit breakers: what keeps failing is left alone, then tried by one caller.

No lock is held during the call.
"""

from __future__ import annotations

import threading
import typing as t

State = t.Literal["closed", "open", "half-open"]


class Circuit(t.NamedTuple):
    """What is remembered of one backend."""

    failures: int = 0
    opened_at: float | None = None
    probe_until: float | None = None


class Store(t.Protocol):
    """Where circuits are kept; every method is one atomic step."""

    def read(self, name: str) -> Circuit:
        """Return a circuit."""

    def fail(self, name: str, *, threshold: int, now: float) -> None:
        """Count a failure; from *threshold* on, and after a failed probe, it is open."""

    def close(self, name: str) -> None:
        """Forget every failure."""

    def take_probe(self, name: str, *, opened_before: float, now: float, until: float) -> bool:
        """Take the right to try an open circuit; one at a time has it."""


class Breaker:
    """Decides whether a backend is called.

    :param threshold: Failures in a row that open it.
    :param seconds: How long it stays open before one query tries the backend.
    """

    def __init__(self, store: Store, *, threshold: int, seconds: float) -> None:
        self._store = store
        self._threshold = threshold
        self._seconds = seconds

    def allows(self, name: str, now: float, *, patience: float = 60) -> bool:
        """Whether *name* may be called; while half-open, by one query within *patience*."""
        circuit = self._store.read(name)
        if circuit.opened_at is None:
            return True
        return self._store.take_probe(
            name, opened_before=now - self._seconds, now=now, until=now + patience
        )

    def succeeded(self, name: str) -> None:
        """Close the circuit."""
        if self._store.read(name) != Circuit():
            self._store.close(name)

    def failed(self, name: str, now: float) -> None:
        """Count a failure."""
        self._store.fail(name, threshold=self._threshold, now=now)

    def state(self, name: str, now: float) -> State:
        """Return how the circuit stands."""
        circuit = self._store.read(name)
        if circuit.opened_at is None:
            return "closed"
        return "open" if now < circuit.opened_at + self._seconds else "half-open"


class MemoryStore:
    """Circuits of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._circuits: dict[str, Circuit] = {}

    def read(self, name: str) -> Circuit:
        """Return a circuit."""
        return self._circuits.get(name, Circuit())

    def fail(self, name: str, *, threshold: int, now: float) -> None:
        """Count a failure."""
        with self._lock:
            old = self.read(name)
            opens = old.opened_at is not None or old.failures + 1 >= threshold
            self._circuits[name] = Circuit(old.failures + 1, now if opens else None)

    def close(self, name: str) -> None:
        """Forget every failure."""
        with self._lock:
            self._circuits.pop(name, None)

    def take_probe(self, name: str, *, opened_before: float, now: float, until: float) -> bool:
        """Take the right to try an open circuit."""
        with self._lock:
            old = self.read(name)
            if old.opened_at is None:
                return True
            if old.opened_at > opened_before or (old.probe_until or 0) > now:
                return False
            self._circuits[name] = old._replace(probe_until=until)
            return True
