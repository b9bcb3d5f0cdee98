"""Days on the command line."""

from __future__ import annotations

import typing as t
from datetime import datetime

import click

from ..clock import FIRST_DAY
from ..clock import LAST_DAY


class _Day(click.DateTime):
    def convert(self, value: t.Any, param: t.Any, ctx: t.Any) -> datetime:
        found: datetime = super().convert(value, param, ctx)
        if not FIRST_DAY <= found.date() <= LAST_DAY:
            self.fail(f"{value} is not between {FIRST_DAY} and {LAST_DAY}.", param, ctx)
        return found


#: A day, as ``2026-01-31``.
DAY = _Day(["%Y-%m-%d"])
