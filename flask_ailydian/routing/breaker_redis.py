"""Circuits that all workers of a Redis share, and what stands in while it is gone."""

from __future__ import annotations

from ..redis_link import RedisGone
from ..redis_link import RedisLink
from .breaker import Circuit
from .breaker import Store

#: Milliseconds after the last failure until a circuit is forgotten.
KEPT_MS = 24 * 3600 * 1000

# Each runs as one step: Redis does nothing else meanwhile.
_FAIL = """
local failures = redis.call('HINCRBY', KEYS[1], 'failures', 1)
if failures >= tonumber(ARGV[1]) or redis.call('HEXISTS', KEYS[1], 'opened_at') == 1 then
  redis.call('HSET', KEYS[1], 'opened_at', ARGV[2])
end
redis.call('HDEL', KEYS[1], 'probe_until')
redis.call('PEXPIRE', KEYS[1], ARGV[3])
"""
_TAKE = """
local opened = tonumber(redis.call('HGET', KEYS[1], 'opened_at'))
if not opened then return 1 end
local probe = tonumber(redis.call('HGET', KEYS[1], 'probe_until')) or 0
if opened > tonumber(ARGV[1]) or probe > tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], 'probe_until', ARGV[3])
return 1
"""
_FIELDS = ("failures", "opened_at", "probe_until")


class RedisStore:
    """Circuits in Redis.

    :param instead: Keeps them while Redis does not answer; the two are never merged, and a
        circuit that was left open in Redis is tried again when its time has come.
    """

    def __init__(self, link: RedisLink, instead: Store) -> None:
        self._link = link
        self._instead = instead

    def read(self, name: str) -> Circuit:
        """Return a circuit."""
        try:
            found = self._link.ask(lambda redis: redis.hmget(self._key(name), *_FIELDS))
        except RedisGone:
            return self._instead.read(name)
        failures, opened_at, probe_until = (None if x is None else float(x) for x in found)
        return Circuit(int(failures or 0), opened_at, probe_until)

    def fail(self, name: str, *, threshold: int, now: float) -> None:
        """Count a failure."""
        key = self._key(name)
        try:
            self._link.ask(lambda redis: redis.eval(_FAIL, 1, key, threshold, repr(now), KEPT_MS))
        except RedisGone:
            self._instead.fail(name, threshold=threshold, now=now)

    def close(self, name: str) -> None:
        """Forget every failure."""
        try:
            self._link.ask(lambda redis: redis.delete(self._key(name)))
        except RedisGone:
            self._instead.close(name)

    def take_probe(self, name: str, *, opened_before: float, now: float, until: float) -> bool:
        """Take the right to try an open circuit."""
        key, moments = self._key(name), (repr(opened_before), repr(now), repr(until))
        try:
            return bool(self._link.ask(lambda redis: redis.eval(_TAKE, 1, key, *moments)))
        except RedisGone:
            return self._instead.take_probe(name, opened_before=opened_before, now=now, until=until)

    def _key(self, name: str) -> str:
        return self._link.key("breaker", name)
