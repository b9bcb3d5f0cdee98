"""Whether this process still takes work."""

from __future__ import annotations

import collections.abc as c


class Lifecycle:
    """Serving until told to drain; a server's shutdown hook calls :meth:`drain`."""

    def __init__(self) -> None:
        self.draining = False
        self.at_drain: list[c.Callable[[], None]] = []

    def drain(self) -> None:
        """Report not ready from now on, so that a balancer sends new work elsewhere.

        Then do what is due at the end, such as signing where the trail stands.
        """
        self.draining = True
        for task in self.at_drain:
            task()
