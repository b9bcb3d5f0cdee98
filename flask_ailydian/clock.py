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


def new_id() -> str:
    """Return a UUIDv7 (RFC 9562): sorted by time, so that an index on it stays compact."""
    millis = time.time_ns() // 1_000_000
    rand = int.from_bytes(os.urandom(10))
    value = (millis & (2**48 - 1)) << 80 | 0x7 << 76 | (rand >> 68 & 0xFFF) << 64
    digits = f"{value | 0b10 << 62 | rand & (2**62 - 1):032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
