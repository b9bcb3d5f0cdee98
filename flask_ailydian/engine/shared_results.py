"""Answers of models in a Redis that workers share: sealed, under keyed names, and expiring."""

from __future__ import annotations

import collections.abc as c
import hashlib
import hmac
import json
import typing as t

import numpy as np

from ..redis_link import RedisGone
from ..redis_link import RedisLink
from .protocol import Array

#: Larger answers stay with the process that made them.
MAX_BYTES = 2**20

Seal = c.Callable[[bytes, bytes, bytes], bytes]


class SharedResults:
    """Outputs by model and fingerprint of the input, in a place that others may look into.

    :param secret: Returns a key of 32 bytes that is for nothing else.
    :param seal: Encrypts under a key, bound to a context; *unseal* undoes it, or raises.
    """

    def __init__(
        self, link: RedisLink, secret: c.Callable[[], bytes], seal: Seal, unseal: Seal
    ) -> None:
        self._link = link
        self._secret = secret
        self._seal = seal
        self._unseal = unseal

    def get(self, key: tuple[t.Any, ...]) -> dict[str, Array] | None:
        """Return what is kept, or ``None``: also for what is not ours, and without Redis."""
        name = self._name(key)
        try:
            found = self._link.ask(lambda redis: redis.get(name))
        except RedisGone:
            return None
        if found is None:
            return None
        try:
            return _unpacked(self._unseal(self._secret(), found, name.encode()))
        # Whoever can write there can write anything: what does not open was never an answer.
        except Exception:
            return None

    def put(self, key: tuple[t.Any, ...], outputs: dict[str, Array], seconds: float) -> None:
        """Keep outputs for so long."""
        if sum(array.nbytes for array in outputs.values()) > MAX_BYTES:
            return
        if any(array.dtype.hasobject for array in outputs.values()):
            return
        name = self._name(key)
        sealed = self._seal(self._secret(), _packed(outputs), name.encode())
        try:
            self._link.ask(lambda redis: redis.set(name, sealed, px=max(1, int(seconds * 1000))))
        except RedisGone:
            pass

    def _name(self, key: tuple[t.Any, ...]) -> str:
        made = hmac.new(self._secret(), repr(key).encode(), hashlib.sha256).hexdigest()
        return self._link.key("result", made)


def _packed(outputs: dict[str, Array]) -> bytes:
    said = [(name, array.dtype.str, array.shape) for name, array in outputs.items()]
    head = json.dumps(said).encode()
    parts = [np.ascontiguousarray(array).tobytes() for array in outputs.values()]
    return b"".join((len(head).to_bytes(4, "big"), head, *parts))


def _unpacked(data: bytes) -> dict[str, Array]:
    place = 4 + int.from_bytes(data[:4], "big")
    outputs: dict[str, Array] = {}
    for name, kind, shape in json.loads(data[4:place]):
        count = int(np.prod(shape, dtype=np.int64))
        array = np.frombuffer(data, np.dtype(kind), count, place).reshape(shape)
        place += array.nbytes
        outputs[name] = array
    return outputs
