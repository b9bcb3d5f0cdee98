"""What is hashed, to the byte: fields with their lengths before them, numbers as integers."""

from __future__ import annotations

import collections.abc as c
import hashlib
import json
import struct
import typing as t
from datetime import datetime
from decimal import Decimal

_EPOCH = datetime(1970, 1, 1)
_INT = struct.Struct(">cq").pack
_LENGTH = struct.Struct(">cQ").pack
_DOUBLE = struct.Struct(">cd").pack
#: The same as ``_LENGTH`` gives, for the lengths that most fields have.
_TEXT = [_LENGTH(b"s", length) for length in range(256)]
_BYTES = [_LENGTH(b"b", length) for length in range(256)]
_LINK = struct.Struct(">cqcQ32scQ32s").pack

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
    return _joined(b"", fields, _refused)


def _joined(start: bytes, fields: t.Iterable[t.Any], other: c.Callable[[t.Any], bytes]) -> bytes:
    """Return *start* and the encoded *fields*; *other* encodes what is of no basic type."""
    parts = [start]
    add = parts.append
    for field in fields:
        # On the exact type, in one place: this loop is most of what verifying costs.
        kind = type(field)
        if kind is str:
            raw = field.encode()
            size = len(raw)
            add(_TEXT[size] if size < 256 else _LENGTH(b"s", size))
            add(raw)
        elif field is None:
            add(b"n")
        elif kind is bytes:
            size = len(field)
            add(_BYTES[size] if size < 256 else _LENGTH(b"b", size))
            add(field)
        elif kind is int:
            add(_INT(b"i", field))
        else:
            add(other(field))
    return b"".join(parts)


def _refused(field: t.Any) -> bytes:
    if isinstance(field, bytes | memoryview):
        return encode(bytes(field))
    raise TypeError(f"{type(field).__name__} is nothing that is hashed")


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
    fields = (id, kind, created_us, *refs, payload, record_hash)
    return hashlib.sha256(_joined(_EVENT, fields, _refused)).digest()


def first_hash(chain_id: str) -> bytes:
    """Return what the first link of a chain follows."""
    return hashlib.sha256(encode("ailydian.chain.1", chain_id)).digest()


def link_hash(chain_id: str, seq: int, prev_hash: bytes, content: bytes) -> bytes:
    """Return the hash of one link: its place, the link before, and what it says."""
    return hashlib.sha256(encode("ailydian.link.1", chain_id, seq, prev_hash, content)).digest()


def linking(chain_id: str) -> c.Callable[[int, bytes, bytes], bytes]:
    """Return :func:`link_hash` of one chain, for many links; both hashes have 32 bytes."""
    start = encode("ailydian.link.1", chain_id)
    sha256 = hashlib.sha256

    def link(seq: int, prev_hash: bytes, content: bytes) -> bytes:
        return sha256(start + _LINK(b"i", seq, b"b", 32, prev_hash, b"b", 32, content)).digest()

    return link


def record_hash(values: t.Iterable[t.Any]) -> bytes:
    """Return the hash of an inference row, from its values in the order of :data:`RECORD`."""
    return hashlib.sha256(_joined(_RECORD, values, _number)).digest()


def _number(value: t.Any) -> bytes:
    if isinstance(value, float):
        # The very bits, read as an integer: rounding would leave room to change a row unseen.
        return _DOUBLE(b"i", value)
    if isinstance(value, datetime):
        return _INT(b"i", microseconds(value))
    if isinstance(value, Decimal):
        return _INT(b"i", nano(value))
    if isinstance(value, bytes):
        return encode(value)
    return encode(json_text(value))


def json_text(value: t.Any) -> str:
    """Return the one text that stands for a JSON value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def nano(value: Decimal) -> int:
    """Return an amount in billionths, which is what its column keeps."""
    return int((value * 10**9).to_integral_value())


def microseconds(moment: datetime) -> int:
    """Return a naive UTC moment as microseconds since 1970."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 10**6 + since.microseconds


_EVENT = encode("ailydian.event.1")
_RECORD = encode("ailydian.record.1")
