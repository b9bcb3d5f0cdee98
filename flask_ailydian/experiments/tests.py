"""The state of A/B tests in the database: tests, phases, exposures, pairs, feedback."""

from __future__ import annotations

import dataclasses
import typing as t
from datetime import datetime

import numpy as np
import sqlalchemy as sa

from ..clock import now
from ..database import Database
from ..errors import Conflict
from ..errors import TestNotFound
from ..tables import Tables
from .analysis import Rows
from .plan import Plan
from .shadows import Pairs


@dataclasses.dataclass(frozen=True)
class Phase:
    """A stretch in which nothing about the split changed."""

    number: int
    split_percent: int
    coverage: float
    started_at: datetime
    ended_at: datetime | None


@dataclasses.dataclass(frozen=True)
class Test:
    """One A/B test as stored.

    :param subject: Whose requests meet it: a model's name, or ``query`` and a domain.
    :param models: The ids of the arms' models; of backends there are none.
    """

    __test__: t.ClassVar[bool] = False

    id: int
    name: str
    subject: str
    arms: tuple[str, str]
    models: tuple[int | None, int | None]
    split_percent: int
    status: str
    seed: str
    plan: Plan
    verdict: str | None
    winner_model_id: int | None
    snapshot: dict[str, t.Any] | None
    started_at: datetime
    stopped_at: datetime | None
    phases: tuple[Phase, ...] = ()

    @property
    def phase(self) -> Phase:
        """The phase that runs, or ran last."""
        return self.phases[-1]


class Store:
    """Reads and writes what the tests need, on connections of its own."""

    def __init__(self, database: Database, tables: Tables) -> None:
        self._database = database
        self.tests: sa.Table = tables.ABTest.__table__
        self.phases: sa.Table = tables.ABPhase.__table__
        self.exposures: sa.Table = tables.ABExposure.__table__
        self.shadows: sa.Table = tables.ABShadow.__table__

    def running(self) -> list[Test]:
        """Return the tests that run, the oldest first."""
        return self._read(self.tests.c.status == "running")

    def every(self) -> list[Test]:
        """Return all tests, the oldest first."""
        return self._read(sa.true())

    def get(self, name: str) -> Test:
        """Return one test.

        :raises TestNotFound: when no test has this name.
        """
        found = self._read(self.tests.c.test_name == name)
        if not found:
            raise TestNotFound(f"There is no A/B test {name!r}.")
        return found[0]

    def add(self, values: dict[str, t.Any], coverage: float) -> None:
        """Store a new test and its first phase.

        :raises Conflict: when the name is taken.
        """

        def work(connection: sa.Connection) -> None:
            added: t.Any = connection.execute(self.tests.insert(), values).inserted_primary_key
            self._open(connection, added[0], 1, values, coverage)

        try:
            self._database.transact(work)
        except sa.exc.IntegrityError as error:
            raise Conflict(f"An A/B test {values['test_name']!r} exists already.") from error

    def resplit(self, test: Test, split_percent: int, coverage: float) -> None:
        """End the running phase and open the next, with another split."""
        moment = now()
        values = {"traffic_split_percent": split_percent, "started_at": moment}

        def work(connection: sa.Connection) -> None:
            c = self.tests.c
            changed = connection.execute(
                self.tests.update()
                .where(c.id == test.id, c.status == "running")
                .values(traffic_split_percent=split_percent)
            )
            if not changed.rowcount:
                raise Conflict(f"The A/B test {test.name!r} has stopped.")
            p = self.phases.c
            ended = self.phases.update().where(p.ab_test_id == test.id, p.ended_at.is_(None))
            connection.execute(ended.values(ended_at=moment))
            self._open(connection, test.id, test.phase.number + 1, values, coverage)

        self._database.transact(work)

    def _open(
        self,
        connection: t.Any,
        test_id: int,
        number: int,
        values: dict[str, t.Any],
        coverage: float,
    ) -> None:
        phase = {
            "ab_test_id": test_id,
            "number": number,
            "split_percent": values["traffic_split_percent"],
            "coverage": coverage,
            "started_at": values["started_at"],
        }
        connection.execute(self.phases.insert(), phase)

    def close(self, test: Test, values: dict[str, t.Any]) -> bool:
        """Stop a test with what was concluded; ``False`` when somebody else just did."""
        moment = now()

        def work(connection: sa.Connection) -> bool:
            c = self.tests.c
            stopped = connection.execute(
                self.tests.update()
                .where(c.id == test.id, c.status == "running")
                .values(status="stopped", stopped_at=moment, **values)
            )
            p = self.phases.c
            ended = self.phases.update().where(p.ab_test_id == test.id, p.ended_at.is_(None))
            connection.execute(ended.values(ended_at=moment))
            return bool(stopped.rowcount)

        return self._database.transact(work)

    def conclude(self, test: Test, values: dict[str, t.Any]) -> None:
        """Store what was concluded of a test that goes on."""
        concluded = self.tests.update().where(self.tests.c.id == test.id).values(**values)
        self._database.transact(lambda connection: connection.execute(concluded))

    def expose(self, row: dict[str, t.Any]) -> None:
        """Store one exposure, and bring the test's cached counts up to date with it."""
        letter = "ab"[row["arm"]]
        c = self.tests.c
        count, mean = c[f"model_{letter}_requests"], c[f"model_{letter}_avg_latency_ms"]
        total = sa.func.coalesce(mean, 0.0) * count + row["latency_ms"]
        counted = self.tests.update().where(c.id == row["ab_test_id"])
        counted = counted.values({count: count + 1, mean: total / (count + 1.0)})

        def work(connection: sa.Connection) -> None:
            connection.execute(self.exposures.insert(), row)
            connection.execute(counted)

        self._database.transact(work)

    def pair(self, row: dict[str, t.Any]) -> None:
        """Store the second arm's answer to an input that the first arm answered."""
        paired = self.shadows.insert()
        self._database.transact(lambda connection: connection.execute(paired, row))

    def shadow_cost(self, since: datetime) -> float:
        """Return what shadows have cost since a moment."""
        c = self.shadows.c
        query = sa.select(sa.func.coalesce(sa.func.sum(c.cost_usd), 0)).where(c.created_at >= since)
        with self._database.connect() as connection:
            return float(connection.execute(query).scalar_one())

    def exposures_of(self, test: Test) -> Rows:
        """Return the exposures of a test as columns."""
        c = self.exposures.c
        outcome = (c.latency_ms, c.failed, sa.cast(c.cost_usd, sa.Float), c.correct, c.rating)
        query = sa.select(c.phase, c.arm, c.unit, *outcome).where(c.ab_test_id == test.id)
        phase, arm, unit, *numbers = self._columns(query, 8)
        values = [np.array(column, float) for column in numbers]
        return Rows(np.array(phase, int), np.array(arm, int), np.array(unit, str), *values)

    def pairs_of(self, test: Test) -> Pairs:
        """Return the pairs of a shadow test as columns."""
        c, e = self.shadows.c, self.exposures.c
        columns = (c.latency_a_ms, c.latency_b_ms, c.failed, c.agrees)
        costs = (sa.cast(e.cost_usd, sa.Float), sa.cast(c.cost_usd, sa.Float))
        query = (
            sa.select(*columns, *costs)
            .select_from(self.shadows.outerjoin(self.exposures, e.id == c.id))
            .where(c.ab_test_id == test.id)
        )
        return Pairs(*(np.array(column, float) for column in self._columns(query, 6)))

    def _columns(self, query: t.Any, width: int) -> list[t.Any]:
        with self._database.engine().connect() as connection:
            rows = connection.execute(query).all()
        return list(zip(*rows, strict=True)) or [()] * width

    def of_unit(self, connection: t.Any, unit: str) -> t.Iterator[dict[str, t.Any]]:
        """Yield the exposures of one unit."""
        c = self.exposures.c
        query = (
            sa.select(c.id, self.tests.c.test_name, c.arm, c.correct, c.rating, c.created_at)
            .select_from(self.exposures.join(self.tests, self.tests.c.id == c.ab_test_id))
            .where(c.unit == unit)
            .order_by(c.id)
        )
        for row in connection.execute(query):
            shown = {"arm": "ab"[row.arm], "created_at": row.created_at.isoformat() + "Z"}
            yield {**row._mapping, **shown}

    def forget(self, connection: t.Any, unit: str, other: str) -> int:
        """Put another unit in the place of one that is to be forgotten."""
        mine = self.exposures.update().where(self.exposures.c.unit == unit)
        return int(connection.execute(mine.values(unit=other)).rowcount)

    def _read(self, condition: t.Any) -> list[Test]:
        query = self.tests.select().where(condition, self.tests.c.plan.is_not(None))
        query = query.order_by(self.tests.c.id)
        return self._database.transact(lambda connection: self._found(connection, query))

    def _found(self, connection: sa.Connection, query: t.Any) -> list[Test]:
        rows = connection.execute(query).all()
        if not rows:
            return []
        c = self.phases.c
        asked = self.phases.select().where(c.ab_test_id.in_([row.id for row in rows]))
        phases: dict[int, list[Phase]] = {}
        for row in connection.execute(asked.order_by(c.number)):
            phase = Phase(row.number, row.split_percent, row.coverage, row.started_at, row.ended_at)
            phases.setdefault(row.ab_test_id, []).append(phase)
        return [_test(row, phases.get(row.id, [])) for row in rows]


def _test(row: t.Any, phases: list[Phase]) -> Test:
    return Test(
        id=row.id,
        name=row.test_name,
        subject=row.subject,
        arms=(row.arm_a, row.arm_b),
        models=(row.model_a_id, row.model_b_id),
        split_percent=row.traffic_split_percent,
        status=row.status,
        seed=row.seed,
        plan=Plan.from_json(row.plan),
        verdict=row.verdict,
        winner_model_id=row.winner_model_id,
        snapshot=row.snapshot,
        started_at=row.started_at,
        stopped_at=row.stopped_at,
        phases=tuple(phases),
    )
