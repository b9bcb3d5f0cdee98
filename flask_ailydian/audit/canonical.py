"""What is hashed, to the byte: fields with their lengths before them, numbers as integers."""

from __future__ import annotations

import hashlib
import json
import struct
import typing as t
from datetime import datetime
from datetime import timedelta
from decimal import Decimal

_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_INT = struct.Struct(">cq").pack
_LENGTH = struct.Struct(">cQ").pack
_DOUBLE = struct.Struct(">d")
_BITS = struct.Struct(">q")

#: The columns of an inference row that its event vouches for. ``user_id`` is left out: erasure
#: empties it, and the event's own reference says who it was.
RECORD = (
    "id",
    "model_id",
    "input_hash",
    "hash_key_id",
    "inference_time_ms",
    "confidence",
    "result",
    "status",
    "error",
    "backend",
    "cost_usd",
    "ab_test_id",
    "purpose",
    "created_at",
)


def encode(*fields: int | str | bytes | None) -> bytes:
    """Return *fields* in a form in which no two different rows look alike."""
    parts: list[bytes] = []
    add = parts.append
    for field in fields:
        # On the exact type: this loop is most of what verifying costs.
        kind = type(field)
        if kind is str:
            raw = field.encode()  # type: ignore[union-attr]
            add(_LENGTH(b"s", len(raw)))
            add(raw)
        elif field is None:
            add(b"n")
        elif kind is int:
            add(_INT(b"i", field))
        elif isinstance(field, bytes | memoryview):
            add(_LENGTH(b"b", len(field)))
            add(bytes(field))
        else:
            raise TypeError(f"{kind.__name__} is nothing that is hashed")
    return b"".join(parts)


def content_hash(
    id: str,
    kind: str,
    created_us: int,
    domain: str | None,
    actor_ref: str | None,
    subject_ref: str | None,
    sealed_ref: str | None,
    payload: bytes | None,
    record_hash: bytes | None,
) -> bytes:
    """Return the hash over what an event says."""
    refs = (domain, actor_ref, subject_ref, sealed_ref)
    return hashlib.sha256(
        encode("ailydian.event.1", id, kind, created_us, *refs, payload, record_hash)
    ).digest()


def first_hash(chain_id: str) -> bytes:
    """Return what the first link of a chain follows."""
    return hashlib.sha256(encode("ailydian.chain.1", chain_id)).digest()


def link_hash(chain_id: str, seq: int, prev_hash: bytes, content: bytes) -> bytes:
    """Return the hash of one link: its place, the link before, and what it says."""
    return hashlib.sha256(encode("ailydian.link.1", chain_id, seq, prev_hash, content)).digest()


def record_hash(values: t.Sequence[t.Any]) -> bytes:
    """Return the hash of an inference row, from its values in the order of :data:`RECORD`."""
    return hashlib.sha256(encode("ailydian.record.1", *map(_field, values))).digest()


def _field(value: t.Any) -> int | str | bytes | None:
    if value is None or type(value) in (str, int, bytes):
        return t.cast(str | int | bytes | None, value)
    if isinstance(value, float):
        # The very bits: rounding would leave room to change a row unseen.
        return t.cast(int, _BITS.unpack(_DOUBLE.pack(value))[0])
    if isinstance(value, datetime):
        return microseconds(value)
    if isinstance(value, Decimal):
        return nano(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def nano(value: Decimal) -> int:
    """Return an amount in billionths, which is what its column keeps."""
    return int((value * 10**9).to_integral_value())


def microseconds(moment: datetime) -> int:
    """Return a naive UTC moment as microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND
