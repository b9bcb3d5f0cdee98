"""Work that goes on while its results are read: a slow reader holds up nobody's slot."""

from __future__ import annotations

import collections.abc as c
import contextlib
import queue
import threading
import typing as t

T = t.TypeVar("T")


class _End(t.NamedTuple):
    error: Exception | None


def ahead(work: c.Generator[T, None, None]) -> c.Generator[T, None, None]:
    """Yield what *work* yields, which runs in a thread of its own and is not waited for.

    Its errors are raised here; when the reader leaves, *work* is closed after its next result.
    """
    said: queue.SimpleQueue[T | _End] = queue.SimpleQueue()
    left = threading.Event()

    def run() -> None:
        error: Exception | None = None
        try:
            with contextlib.closing(work):
                for result in work:
                    said.put(result)
                    if left.is_set():
                        break
        except Exception as failure:
            error = failure
        finally:
            said.put(_End(error))

    threading.Thread(target=run, name="ailydian-ahead", daemon=True).start()
    try:
        while not isinstance(result := said.get(), _End):
            yield result
        if result.error is not None:
            raise result.error
    finally:
        left.set()
