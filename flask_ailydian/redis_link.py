"""A Redis that workers may share: reached when first needed, and left alone while it is gone."""

from __future__ import annotations

import collections.abc as c
import importlib
import importlib.util
import logging
import threading
import time
import typing as t

log = logging.getLogger("flask_ailydian.redis")

T = t.TypeVar("T")

#: Seconds: a Redis that takes longer is no help, and one that failed is not asked again so soon.
PATIENCE, PAUSE = 0.25, 2.0


class RedisGone(Exception):
    """Redis did not answer; do without it."""


class RedisLink:
    """One Redis for one app; nothing is imported and nobody is called before the first use.

    :param url: ``redis://``, ``rediss://`` or ``unix://``.
    :param name: Returns what the keys of this deployment begin with.
    :raises RuntimeError: for another address, and when the ``redis`` package is not installed.
    """

    def __init__(self, url: str, name: c.Callable[[], str], *, pause: float = PAUSE) -> None:
        if not url.startswith(("redis://", "rediss://", "unix://")):
            raise RuntimeError("AILYDIAN_REDIS_URL must begin with redis://, rediss:// or unix://.")
        if importlib.util.find_spec("redis") is None:
            raise RuntimeError(
                'AILYDIAN_REDIS_URL needs a package: pip install "flask-ailydian[redis]"'
            )
        self._url = url
        self._name = name
        self._pause = pause
        self._lock = threading.Lock()
        self._client: t.Any = None
        self._asleep_until = 0.0

    def key(self, *parts: str) -> str:
        """Return the name of something of this deployment's."""
        return ":".join(("ailydian", self._name(), *parts))

    def ask(self, question: c.Callable[[t.Any], T]) -> T:
        """Return what *question* gets from a ``redis.Redis``.

        :raises RedisGone: when it does not answer, at once for a while after it did not.
        """
        if time.monotonic() < self._asleep_until:
            raise RedisGone
        redis = importlib.import_module("redis")
        try:
            return question(self._connected(redis))
        except (redis.RedisError, OSError) as error:
            self._asleep_until = time.monotonic() + self._pause
            # Never the message: it may hold the address and what was sent.
            log.warning("Redis does not answer: %s", type(error).__name__)
            raise RedisGone from error

    def answers(self) -> bool:
        """Whether it answers now."""
        try:
            return bool(self.ask(lambda redis: redis.ping()))
        except RedisGone:
            return False

    def close(self) -> None:
        """Close the connections of this process."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _connected(self, redis: t.Any) -> t.Any:
        if self._client is None:
            with self._lock:
                if self._client is None:
                    # A second attempt would only double the wait; its pools know of forks.
                    self._client = redis.Redis.from_url(
                        self._url,
                        socket_timeout=PATIENCE,
                        socket_connect_timeout=PATIENCE,
                        retry=None,
                    )
        return self._client
