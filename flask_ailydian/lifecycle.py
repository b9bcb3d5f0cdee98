"""Whether this process still takes work."""

from __future__ import annotations


class Lifecycle:
    """Serving until told to drain; a server's shutdown hook calls :meth:`drain`."""

    def __init__(self) -> None:
        self.draining = False

    def drain(self) -> None:
        """Report not ready from now on, so that a balancer sends new work elsewhere."""
        self.draining = True
