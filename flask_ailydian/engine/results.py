"""Answers of models that cache theirs: bounded, expiring, and each made once at a time."""

from __future__ import annotations

import collections
import collections.abc as c
import dataclasses
import threading
import time
import typing as t

from ..errors import ClientGone
from ..errors import Overloaded
from ..errors import Timeout
from .forks import restart_in_children
from .protocol import Array
from .shared_results import SharedResults

Outputs = dict[str, Array]
Key = tuple[t.Any, ...]

#: What an entry takes beside its numbers.
OVERHEAD = 512
#: Failures that say nothing about the input: somebody else may fare better with it.
PERSONAL = (ClientGone, Overloaded, Timeout)


@dataclasses.dataclass
class _Flight:
    done: threading.Event = dataclasses.field(default_factory=threading.Event)
    outputs: Outputs | None = None
    error: Exception | None = None


class ResultCache:
    """Outputs by model and fingerprint of the input; never the input itself.

    :param max_bytes: For all models together; the longest unused go first.
    :param shared: What other workers keep as well.
    """

    def __init__(
        self,
        max_bytes: int,
        clock: c.Callable[[], float] = time.monotonic,
        *,
        shared: SharedResults | None = None,
    ) -> None:
        self.max_bytes = max_bytes
        self._clock = clock
        self._shared = shared
        self.start_anew()
        restart_in_children(self)

    def start_anew(self) -> None:
        """Forget every answer."""
        self._lock = threading.Lock()
        self._kept: collections.OrderedDict[Key, tuple[float, int, Outputs]] = (
            collections.OrderedDict()
        )
        self._counts: collections.Counter[str] = collections.Counter()
        self._bytes = 0
        self._flights: dict[Key, _Flight] = {}

    def get_or_run(
        self,
        model: str,
        key: Key,
        run: c.Callable[[], Outputs],
        *,
        entries: int,
        seconds: float,
        deadline: float,
    ) -> tuple[Outputs, bool]:
        """Return the outputs, and whether somebody else's run made them.

        :param model: The digest of the model's file.
        :param key: What else makes the outputs what they are.
        :param entries: How many answers of this model are kept.
        :raises Timeout: when the run of an identical input is not done before the deadline.
        """
        key = (model, *key)
        while True:
            with self._lock:
                found = self._find(key)
                if found is not None:
                    return found, True
                flight = self._flights.get(key)
                if flight is None:
                    mine = self._flights[key] = _Flight()
                    break
            if not flight.done.wait(max(0.0, deadline - self._clock())):
                raise Timeout()
            if flight.outputs is not None:
                return flight.outputs, True
            if flight.error is not None and not isinstance(flight.error, PERSONAL):
                raise flight.error
        try:
            known = None if self._shared is None else self._shared.get(key)
            mine.outputs = run() if known is None else known
            with self._lock:
                self._keep(model, key, mine.outputs, entries, seconds)
            if self._shared is not None and known is None:
                self._shared.put(key, mine.outputs, seconds)
            return mine.outputs, known is not None
        except Exception as error:
            mine.error = error
            raise
        finally:
            with self._lock:
                del self._flights[key]
            mine.done.set()

    @property
    def bytes_used(self) -> int:
        """What the kept answers take."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._kept)

    def _find(self, key: Key) -> Outputs | None:
        kept = self._kept.get(key)
        if kept is None:
            return None
        if self._clock() >= kept[0]:
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return kept[2]

    def _keep(self, model: str, key: Key, outputs: Outputs, entries: int, seconds: float) -> None:
        size = OVERHEAD + sum(array.nbytes for array in outputs.values())
        # Numbers alone have a size that is known; what else a model gives is not kept.
        if size > self.max_bytes or any(a.dtype.hasobject for a in outputs.values()):
            return
        if self._counts[model] >= entries:
            self._drop(next(k for k in self._kept if k[0] == model))
        while self._kept and self._bytes + size > self.max_bytes:
            self._drop(next(iter(self._kept)))
        for array in outputs.values():
            array.setflags(write=False)
        self._kept[key] = (self._clock() + seconds, size, outputs)
        self._counts[model] += 1
        self._bytes += size

    def _drop(self, key: Key) -> None:
        _, size, _ = self._kept.pop(key)
        self._counts[key[0]] -= 1
        self._bytes -= size
