"""Time and identity, in one place."""

from __future__ import annotations

import os
import time
from datetime import date
from datetime import datetime
from datetime import UTC

#: Days beyond are nobody's, and the calendar of Python ends: others are reckoned from them.
FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(2999, 12, 31)


def now() -> datetime:
    """Return the present in UTC, naive, as every table stores it."""
    return datetime.now(UTC).replace(tzinfo=None)


def new_id(millis: int | None = None) -> str:
    """Return a UUIDv7 (RFC 9562): sorted by time, so that an index on it stays compact.

    :param millis: Its moment, in milliseconds since 1970; by default now.
    """
    if millis is None:
        millis = time.time_ns() // 1_000_000
    rand = int.from_bytes(os.urandom(10))
    value = (millis & (2**48 - 1)) << 80 | 0x7 << 76 | (rand >> 68 & 0xFFF) << 64
    return _hyphened(value | 0b10 << 62 | rand & (2**62 - 1))


def lowest_id(moment: datetime) -> str:
    """Return the lowest UUIDv7 of a moment, which is naive and in UTC."""
    millis = int(moment.replace(tzinfo=UTC).timestamp() * 1000)
    return _hyphened(millis << 80 | 0x7 << 76 | 0b10 << 62)


def millis_of(id: str) -> int | None:
    """Return the moment that a UUIDv7 begins with, in milliseconds; ``None`` for other ids."""
    try:
        return int(id[:8] + id[9:13], 16) if id[14] == "7" else None
    except (ValueError, IndexError):
        return None


def month_after(month: datetime) -> datetime:
    """Return the first moment of the month that follows the one that begins at *month*."""
    return month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)


def _hyphened(value: int) -> str:
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
