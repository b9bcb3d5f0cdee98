"""Which endpoint a call goes to: the one with the fewest calls, of those that are well."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import threading
import time
import typing as t

from ...breaker import Breaker
from ...breaker import MemoryStore
from ..forks import restart_in_children
from .address import Endpoint
from .options import RemoteOptions
from .wire import Wire


@dataclasses.dataclass
class Backend:
    """An endpoint of this process: its connections, and how many calls are under way."""

    wire: Wire
    calls: int = 0

    @property
    def name(self) -> str:
        """What people call it."""
        return self.wire.endpoint.authority


class Balancer:
    """Chooses endpoints; one that keeps failing is left alone, then tried by one call.

    A process learns for itself: from here an endpoint may be out of reach that others reach.
    """

    def __init__(self, endpoints: t.Sequence[Endpoint], options: RemoteOptions) -> None:
        self.backends = [Backend(Wire(endpoint, options)) for endpoint in endpoints]
        self._options = options
        self.start_anew()
        restart_in_children(self)

    def start_anew(self) -> None:
        """Forget what was learnt."""
        self._lock = threading.Lock()
        self._turns = itertools.count()
        self._breaker = Breaker(
            MemoryStore(),
            threshold=self._options.failures,
            seconds=self._options.eject_seconds,
        )
        for backend in self.backends:
            backend.calls = 0

    def candidates(self) -> t.Iterator[Backend]:
        """Yield endpoints to try, the best first; none where all are left alone."""
        now = time.monotonic()
        # Whoever has waited long enough is tried by this call, which can go on to the others.
        rank = {"half-open": 0, "closed": 1, "open": 2}
        turn = next(self._turns)
        order = sorted(
            enumerate(self.backends),
            key=lambda one: (
                rank[self._breaker.state(one[1].wire.endpoint.url, now)],
                one[1].calls,
                (one[0] - turn) % len(self.backends),
            ),
        )
        for _, backend in order:
            # Asked when its turn has come: to be allowed takes the one right to try.
            patience = self._options.eject_seconds
            if self._breaker.allows(backend.wire.endpoint.url, now, patience=patience):
                yield backend

    def standing(self) -> list[tuple[str, bool, int]]:
        """Return of each endpoint its name, whether it is not left alone, and its calls."""
        now = time.monotonic()
        return [
            (b.name, self._breaker.state(b.wire.endpoint.url, now) == "closed", b.calls)
            for b in self.backends
        ]

    @contextlib.contextmanager
    def calling(self, backend: Backend) -> t.Iterator[None]:
        """Count a call while it is under way."""
        with self._lock:
            backend.calls += 1
        try:
            yield
        finally:
            with self._lock:
                backend.calls -= 1

    def succeeded(self, backend: Backend) -> None:
        """Take note that an endpoint answered."""
        self._breaker.succeeded(backend.wire.endpoint.url)

    def failed(self, backend: Backend) -> None:
        """Take note that an endpoint did not."""
        self._breaker.failed(backend.wire.endpoint.url, time.monotonic())

    def close(self) -> None:
        """Close what is not in use."""
        for backend in self.backends:
            backend.wire.close()
