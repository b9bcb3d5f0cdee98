"""Work on many inputs at once, answers in the order of the inputs."""

from __future__ import annotations

import collections
import collections.abc as c
import concurrent.futures
import itertools
import typing as t

from flask import current_app
from flask import Flask

Item = t.TypeVar("Item")
Result = t.TypeVar("Result")


def in_order(
    items: t.Iterable[Item], work: c.Callable[[Item], Result], *, workers: int
) -> t.Iterator[Result]:
    """Yield what *work* returns for each item, in their order, from *workers* threads.

    Items are taken as they are needed, so that an endless number of them fits. Each is worked
    on in the application's context, and none in a request's.
    """
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]

    def inside(item: Item) -> Result:
        with app.app_context():
            return work(item)

    left = iter(items)
    with concurrent.futures.ThreadPoolExecutor(workers, "ailydian-batch") as pool:
        # As many again wait beside those that are worked on: no thread is ever idle.
        ahead = collections.deque(
            pool.submit(inside, item) for item in itertools.islice(left, 2 * workers)
        )
        try:
            while ahead:
                yield ahead.popleft().result()
                ahead.extend(pool.submit(inside, item) for item in itertools.islice(left, 1))
        finally:
            for future in ahead:
                future.cancel()
