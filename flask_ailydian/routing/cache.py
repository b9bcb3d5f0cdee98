"""Answers that were paid for, repeated for exactly the same question, in memory only.

There is no cache by meaning: embeddings put "500 mg" and "250 mg" next to each other.
"""

from __future__ import annotations

import collections
import threading

#: Answers that one process keeps.
CAPACITY = 1024


class AnswerCache:
    """The last answers by a keyed fingerprint of domain, user and folded question."""

    def __init__(self, *, seconds: float, capacity: int = CAPACITY) -> None:
        self._seconds = seconds
        self._capacity = capacity
        self._lock = threading.Lock()
        self._answers: collections.OrderedDict[str, tuple[float, str]] = collections.OrderedDict()

    def get(self, key: str, now: float) -> str | None:
        """Return an answer that is not older than it may be."""
        with self._lock:
            found = self._answers.get(key)
            if found is None:
                return None
            if now >= found[0]:
                del self._answers[key]
                return None
            self._answers.move_to_end(key)
            return found[1]

    def put(self, key: str, answer: str, now: float) -> None:
        """Keep an answer; the one that was not asked for longest makes room."""
        with self._lock:
            self._answers[key] = (now + self._seconds, answer)
            self._answers.move_to_end(key)
            while len(self._answers) > self._capacity:
                self._answers.popitem(last=False)

    def clear(self) -> None:
        """Forget every answer: after an erasure, say."""
        with self._lock:
            self._answers.clear()
