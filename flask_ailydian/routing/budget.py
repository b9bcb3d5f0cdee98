"""Budgets that hold while many spend at once: the worst case is taken first, given back after."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import functools
import typing as t
from datetime import datetime
from datetime import timedelta
from decimal import Decimal

import sqlalchemy as sa

from ..database import Database
from ..errors import BudgetExhausted
from ..settings import Settings
from ..tables import Tables
from .money import from_nano
from .money import to_nano

KEPT = timedelta(days=40)


@dataclasses.dataclass(frozen=True)
class Limits:
    """Most that may be spent on one UTC day; 0 for no limit."""

    day: Decimal = Decimal(0)
    user: Decimal = Decimal(0)
    domains: c.Mapping[str, Decimal] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """Return what the settings allow."""
        domains = settings.budget_domains.items()
        return cls(
            Decimal(str(settings.budget_day)),
            Decimal(str(settings.budget_user)),
            {name: Decimal(str(usd)) for name, usd in domains},
        )

    def scopes(self, moment: datetime, user: str | None, domain: str) -> dict[str, int]:
        """Return the scopes that a query falls in, with their limits in billionths.

        :param user: A fingerprint; the table of budgets names nobody.
        """
        day = moment.date().isoformat()
        found = {f"day:{day}": self.day, f"domain:{domain}:{day}": self.domains.get(domain)}
        if user is not None:
            found[f"user:{user}:{day}"] = self.user
        return {scope: to_nano(limit) for scope, limit in found.items() if limit}


class Budgets:
    """What is committed in each scope, in one row of the host's database.

    A worker that dies between taking and giving back leaves the worst case counted: a budget
    errs towards too little spent, until the day is over.
    """

    def __init__(self, database: Database, tables: Tables) -> None:
        self._database = database
        self._table: sa.Table = tables.Budget.__table__

    def reserve(self, scopes: c.Mapping[str, int], nano: int, moment: datetime) -> None:
        """Take *nano* in every scope, or in none.

        :raises BudgetExhausted: naming the kind of scope that has no room.
        """
        if not scopes or not nano:
            return
        self._make(scopes, moment)
        columns = self._table.c

        def work(connection: sa.Connection) -> None:
            # In one order everywhere, so that two never wait for each other.
            for scope, limit in sorted(scopes.items()):
                taken = connection.execute(
                    self._table.update()
                    .where(columns.scope == scope, columns.committed_nano + nano <= limit)
                    .values(committed_nano=columns.committed_nano + nano)
                )
                if taken.rowcount != 1:
                    kind = scope.partition(":")[0]
                    raise BudgetExhausted(
                        f"The {kind}'s budget has no room for another paid answer.",
                        retry_after=_until_midnight(moment),
                        scope=kind,
                    )

        self._database.transact(work)

    def give_back(self, scopes: c.Iterable[str], nano: int) -> None:
        """Return what was taken and not spent."""
        if not nano:
            return
        columns = self._table.c
        ordered = sorted(scopes)

        def work(connection: sa.Connection) -> None:
            for scope in ordered:
                connection.execute(
                    self._table.update()
                    .where(columns.scope == scope)
                    .values(committed_nano=columns.committed_nano - nano)
                )

        self._database.transact(work)

    def committed(self, scope: str) -> int:
        """Return what is spent or reserved in a scope, in billionths."""
        query = sa.select(self._table.c.committed_nano).where(self._table.c.scope == scope)
        return self._database.transact(lambda asked: int(asked.execute(query).scalar() or 0))

    def today(self, limits: Limits, moment: datetime) -> list[dict[str, t.Any]]:
        """Return what the limits of the whole day and of the domains have left, in dollars."""
        day = moment.date().isoformat()
        kinds: list[tuple[str, str | None, str, Decimal]] = [
            ("day", None, f"day:{day}", limits.day)
        ]
        kinds += [("domain", n, f"domain:{n}:{day}", x) for n, x in sorted(limits.domains.items())]
        found = []
        for kind, domain, scope, limit in kinds:
            if limit:
                used = from_nano(self.committed(scope))
                found.append(
                    {
                        "scope": kind,
                        "domain": domain,
                        "limit": float(limit),
                        "used": float(used),
                        "left": float(max(limit - used, Decimal(0))),
                    }
                )
        return found

    def day_used(self, limit: float, moment: datetime) -> float:
        """Return how much of the day's limit is spent or reserved; 1 is all of it."""
        return self.committed(f"day:{moment.date().isoformat()}") / to_nano(Decimal(str(limit)))

    def _make(self, scopes: c.Iterable[str], moment: datetime) -> None:
        """See to it that every scope has its row."""
        columns = self._table.c
        query = sa.select(columns.scope).where(columns.scope.in_(list(scopes)))
        known = self._database.transact(lambda asked: set(asked.execute(query).scalars()))
        for scope in sorted(set(scopes) - known):
            try:
                self._database.transact(functools.partial(self._add, scope, moment))
            except sa.exc.IntegrityError:
                # Another one made it at the same moment.
                continue

    def _add(self, scope: str, moment: datetime, connection: sa.Connection) -> None:
        row = {"scope": scope, "committed_nano": 0, "created_at": moment}
        old = self._table.c.created_at < moment - KEPT
        connection.execute(self._table.delete().where(old))
        connection.execute(self._table.insert(), row)


def _until_midnight(moment: datetime) -> int:
    midnight = datetime.combine(moment.date() + timedelta(days=1), datetime.min.time())
    return max(1, int((midnight - moment).total_seconds()))
