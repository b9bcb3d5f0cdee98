"""What was spent and what it would have been: one row a query, whole billionths of a dollar."""

from __future__ import annotations

import collections.abc as c
import typing as t
from datetime import date
from datetime import datetime
from datetime import timedelta
from decimal import Decimal

import sqlalchemy as sa

from ..clock import now
from ..database import Database
from ..tables import Tables
from .budget import Budgets
from .money import CURRENCY
from .money import from_nano
from .money import LOCAL
from .money import Price
from .money import PriceList
from .money import to_nano
from .money import Usage
from .money import what_if

#: So many columns of the summary's rows name what the others count.
NAMES = 4


class Costs:
    """The rows of ``pytorch_query_costs``, and what they add up to."""

    def __init__(
        self, database: Database, tables: Tables, prices: PriceList, paid_model: str
    ) -> None:
        self._database = database
        self._rows: sa.Table = tables.QueryCost.__table__
        self._paid_model = paid_model
        self.prices = prices

    def paid_price(self, day: date, model: str | None = None) -> Price:
        """Return the price of the paid backend on a day; of the preferred one by default."""
        return self.prices.at(self._paid_model if model is None else model, day)

    def local_price(self, day: date) -> Price:
        """Return the price of the local backend on a day."""
        return self.prices.at(LOCAL, day)

    def write(self, row: dict[str, t.Any]) -> None:
        """Commit a query's row, over the one that reserved its worst case."""
        values = {k: v for k, v in row.items() if k not in ("id", "created_at")}
        changed = self._rows.update().where(self._rows.c.id == row["id"]).values(values)

        def work(connection: sa.Connection) -> None:
            if connection.execute(changed).rowcount != 1:
                connection.execute(self._rows.insert(), row)

        self._database.transact(work)

    def summary(self, start: date | None = None, end: date | None = None) -> dict[str, t.Any]:
        """Return spent and saved from *start* to *end*, both included; by default 30 days."""
        last = end or now().date()
        first = start or last - timedelta(days=29)
        columns = self._rows.c
        since = datetime.combine(first, datetime.min.time())
        until = datetime.combine(last + timedelta(days=1), datetime.min.time())
        day = sa.func.date(columns.created_at)
        query = (
            sa.select(
                columns.backend,
                columns.model,
                columns.domain,
                day,
                sa.func.count(),
                sa.func.sum(columns.actual_nano),
                sa.func.sum(columns.baseline_nano),
                sa.func.sum(columns.estimated_nano),
            )
            .where(columns.created_at >= since, columns.created_at < until)
            .group_by(columns.backend, columns.model, columns.domain, day)
        )
        with self._database.connect() as connection:
            rows = connection.execute(query).all()
        found: list[t.Any] = [(*map(_name, row[:NAMES]), *map(int, row[NAMES:])) for row in rows]
        total = _added(row[NAMES:] for row in found)
        return {
            "from": first.isoformat(),
            "to": last.isoformat(),
            "currency": CURRENCY,
            **total,
            "by_backend": _grouped(found, 0),
            "by_model": _grouped(found, 1),
            "by_domain": _grouped(found, 2),
            "by_day": _grouped(found, 3),
        }

    def rows(self, start: date | None = None, end: date | None = None) -> c.Iterator[t.Any]:
        """Return the rows themselves, oldest first, for replaying decisions."""
        columns = self._rows.c
        query = self._rows.select().order_by(columns.created_at, columns.id)
        if start is not None:
            query = query.where(columns.created_at >= datetime.combine(start, datetime.min.time()))
        if end is not None:
            until = datetime.combine(end + timedelta(days=1), datetime.min.time())
            query = query.where(columns.created_at < until)
        with self._database.engine().connect() as connection:
            yield from connection.execute(query)

    def what_if(
        self, queries: int, onnx_share: Decimal, day: date | None = None
    ) -> dict[str, t.Any]:
        """Return what a day of *queries* costs when *onnx_share* of them stays local."""
        moment = day or now().date()
        paid, local = self.paid_price(moment), self.local_price(moment)
        # A priced token needs a query to be guessed from: a hundred characters stand for one.
        typical = "x" * 100
        projected = what_if(
            queries, onnx_share, paid.guess(typical, 2**20), local.guess(typical, 2**20)
        )
        return projected.to_json()


def _added(rows: c.Iterable[c.Sequence[int]]) -> dict[str, t.Any]:
    queries = spent = baseline = estimated = 0
    for count, actual, all_paid, guessed in rows:
        queries += count
        spent += actual
        baseline += all_paid
        estimated += guessed
    saved = baseline - spent
    return {
        "queries": queries,
        "estimated": float(from_nano(estimated)),
        "spent": float(from_nano(spent)),
        "all_paid": float(from_nano(baseline)),
        "saved": float(from_nano(saved)),
        "saved_percent": round(100 * saved / baseline, 1) if baseline else 0.0,
    }


def _grouped(found: list[t.Any], position: int) -> dict[str, t.Any]:
    groups: dict[str, list[t.Any]] = {}
    for row in found:
        groups.setdefault(row[position], []).append(row[NAMES:])
    return {name: _added(rows) for name, rows in sorted(groups.items())}


def _name(value: t.Any) -> str:
    return str(value or "none")


class Purse:
    """What one query may spend and has spent: reserves before an attempt, settles after it.

    :param worst: The most that one attempt can cost, in billionths.
    :param before: Commits what must be on record before anything leaves.
    """

    def __init__(
        self,
        price: Price,
        worst: Decimal,
        budgets: Budgets,
        scopes: c.Mapping[str, int],
        moment: datetime,
        before: c.Callable[[], None],
    ) -> None:
        self.price = price
        self._budgets = budgets
        self._scopes = scopes
        self._moment = moment
        self._before = before
        self._worst = to_nano(worst)
        self._held = 0
        self.spent = 0
        self.last = 0
        self.attempts = 0
        self.usage: Usage | None = None

    @property
    def committed(self) -> int:
        """What was spent, and what is held for an attempt that goes on."""
        return self.spent + self._held

    def take(self) -> None:
        """Reserve one attempt, and put on record that it is about to be made."""
        self._budgets.reserve(self._scopes, self._worst, self._moment)
        self._held = self._worst
        try:
            self._before()
        except BaseException:
            self._budgets.give_back(self._scopes, self._held)
            self._held = 0
            raise
        self.attempts += 1

    def settle(self, usage: Usage | None) -> None:
        """Account for the attempt, and give back what it did not take."""
        self.last = to_nano(self.price.of(usage)) if usage is not None else 0
        self.spent += self.last
        self.usage = usage or self.usage
        self._budgets.give_back(self._scopes, self._held - self.last)
        self._held = 0
