"""Decoders log what they read, tag by tag; while they read for us, they keep it to themselves."""

from __future__ import annotations

import collections.abc as c
import contextlib
import logging
import threading

#: The loggers through which Pillow and pydicom tell of tags and texts.
LOGGERS = ("PIL.Image", "PIL.PngImagePlugin", "PIL.TiffImagePlugin", "pydicom")

_here = threading.local()


@contextlib.contextmanager
def quietly() -> c.Iterator[None]:
    """Keep what these loggers say on this thread out of every log."""
    _here.reading = True
    try:
        yield
    finally:
        _here.reading = False


def _pass(record: logging.LogRecord) -> bool:
    return not getattr(_here, "reading", False)


for _name in LOGGERS:
    # On the logger itself, for all handlers; what the host reads elsewhere is logged as before.
    logging.getLogger(_name).addFilter(_pass)
