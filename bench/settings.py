"""Which settings the package under test knows."""

from __future__ import annotations

import dataclasses

from flask_ailydian.settings import Settings


def knows(name: str) -> bool:
    """Whether there is a setting of this name."""
    return name in {field.name for field in dataclasses.fields(Settings)}
