"""Numbered, frozen schema steps, run by revisions that the host owns.

A published step never changes. The next change of the tables is a new step.
"""

from __future__ import annotations

import typing as t

from . import step_0001
from . import step_0002
from . import step_0003
from . import step_0004
from . import step_0005
from . import step_0006
from . import step_0007
from . import step_0008

STEPS = (step_0001, step_0002, step_0003, step_0004, step_0005, step_0006, step_0007, step_0008)
LATEST = len(STEPS)


def run(op: t.Any, start: int, stop: int) -> None:
    """Take the tables from version *start* to *stop*, up or down.

    :param op: Alembic's ``op``, or an ``Operations`` object.
    """
    if start <= stop:
        for step in STEPS[start:stop]:
            step.upgrade(op)
    else:
        for step in reversed(STEPS[stop:start]):
            step.downgrade(op)
