"""Monthly partitions: where rows lie, how months end, and what guards them."""

from __future__ import annotations

import datetime as dt
import json
import time
import typing as t
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from audit.trails import answer
from audit.trails import run
from databases import database
from flask import Flask
from hosts import dispose
from hosts import make_host

from flask_ailydian import clock
from flask_ailydian.audit import guards
from flask_ailydian.audit.chain import Chains
from flask_ailydian.audit.chain import Event
from flask_ailydian.audit.chain import Hashed
from flask_ailydian.audit.inspection import proven
from flask_ailydian.clock import new_id
from flask_ailydian.tables import steps
from flask_ailydian.tables.steps import partitions

#: When the host of these tests was migrated.
BEGAN = "2026-02-10 12:00Z"


class Clock:
    """Lets the process believe that it is another day; time goes on from there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._real, self._ahead = time.time_ns, 0
        monkeypatch.setattr(time, "time_ns", lambda: self._real() + self._ahead)
        self_ = self

        class Shifted(dt.datetime):
            @classmethod
            def now(cls, tz: t.Any = None) -> t.Any:
                return dt.datetime.fromtimestamp((self_._real() + self_._ahead) / 1e9, tz)

        monkeypatch.setattr(clock, "datetime", Shifted)

    def set(self, moment: str) -> None:
        wanted = dt.datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp()
        self._ahead = int(wanted * 1e9) - self._real()


@pytest.fixture
def clocked(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def whole(tmp_path: Path) -> t.Iterator[Flask]:
    """A host on PostgreSQL with the tables as the steps make them."""
    with database("postgresql", tmp_path) as url:
        app = make_host(tmp_path, database=url, create=False, AILYDIAN_RETENTION_DAYS=["*=183"])
        with app.app_context():
            migrate(app, lambda op: steps.run(op, 0, steps.LATEST))
            yield app
            app.extensions["ailydian"].audit.close()
        dispose(app)


@pytest.fixture
def host(whole: Flask, clocked: Clock, monkeypatch: pytest.MonkeyPatch) -> Flask:
    """One whose tables were parted in February."""
    part(whole, monkeypatch)
    clocked.set(BEGAN)
    return whole


def part(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    then = partitions.UPGRADE.replace("now()", f"timestamptz '{BEGAN}'")
    monkeypatch.setattr(partitions, "UPGRADE", then)
    migrate(app, partitions.upgrade)


def migrate(app: Flask, step: t.Callable[[t.Any], None]) -> None:
    with app.extensions["sqlalchemy"].engine.begin() as connection:
        step(Operations(MigrationContext.configure(connection)))


def lying(app: Flask) -> dict[str, tuple[int, int]]:
    """Return how many events and answers lie in which partition."""
    found: dict[str, list[int]] = {}
    with app.extensions["sqlalchemy"].engine.connect() as connection:
        for i, table in enumerate(("pytorch_audit_events", "pytorch_inference_logs")):
            sql = f"SELECT tableoid::regclass::text, count(*) FROM {table} GROUP BY 1"
            for name, count in connection.exec_driver_sql(sql):
                short = name.rpartition(".")[2].removeprefix(f"{table}_")
                found.setdefault(short, [0, 0])[i] = count
    return {name: (events, answers) for name, (events, answers) in sorted(found.items())}


def rows(app: Flask) -> list[list[t.Any]]:
    """Return everything in the two tables."""
    tables = app.extensions["ailydian"].tables
    with app.extensions["sqlalchemy"].engine.connect() as connection:
        return [
            list(connection.execute(table.select().order_by(table.c.id)))
            for table in (tables.AuditEvent.__table__, tables.InferenceLog.__table__)
        ]


def months(app: Flask, clocked: Clock) -> list[str]:
    """Leave answers in February, around the end of March, and in April; return their ids."""
    ids = []
    for moment in ("2026-02-27 10:00Z", "2026-03-10 10:00Z", "2026-04-02 10:00Z"):
        clocked.set(moment)
        app.extensions["ailydian"].audit.partitions.make_ahead()
        ids += [answer(app, "alice", "civic"), answer(app, "bob", "civic")]
    return ids


def test_a_chain_holds_events_of_one_month() -> None:
    def event(moment: str) -> Hashed:
        millis = dt.datetime.fromisoformat(moment).timestamp() * 1000
        made = Event(new_id(int(millis)), "noted", 1)
        return made, made.content()

    last, first = "2026-03-31T23:59:59.999+00:00", "2026-04-01T00:00:00+00:00"
    chains, linked = Chains().link(
        [event(last), event(first), event(last)], lambda id: Event(id, "writer_started", 1)
    )
    assert [row["seq"] for row in linked] == [1, 2, 3, 1, 2]
    border = clock.lowest_id(dt.datetime(2026, 4, 1))
    for row in linked:
        assert (row["id"] < border) is (row["chain_id"] < border)
    # Whoever comes late goes on where the month's chain stood.
    after, linked = chains.link([event(last)], lambda id: Event(id, "writer_started", 1))
    assert (linked[0]["seq"], len(after.all)) == (4, 2)
    # An id that does not begin with its moment is of today.
    other = Event("x", "noted", 1)
    _, linked = Chains().link([(other, other.content())], lambda id: Event(id, "started", 1))
    assert abs(t.cast(int, clock.millis_of(linked[0]["chain_id"])) - time.time() * 1000) < 60_000


def test_rows_lie_in_their_months_and_everything_is_found_across_them(
    host: Flask, clocked: Clock
) -> None:
    state = host.extensions["ailydian"]
    ids = months(host, clocked)
    # On its way since March, on disk in April.
    clocked.set("2026-03-31 23:59:59Z")
    late = new_id()
    clocked.set("2026-04-02 11:00Z")
    answer(host, "alice", "civic", id=late)
    # In each the first event of a chain, beside those of the answers.
    assert lying(host) == {"2026_03": (4, 3), "2026_04": (3, 2), "before_2026_03": (3, 2)}
    state.audit.checkpoints.make(now=True)
    report = state.audit.inspection.verify()
    assert report.ok, report.bad
    assert (report.chains, report.records) == (3, 7)
    key = state.audit.inspection.signer.public_keys()[0].hex()
    assert all(proven(state.audit.inspection.prove(id), key) for id in (*ids, late))
    copy = json.loads("".join(state.privacy.export("alice")))
    assert [i["id"] for i in copy["inferences"]] == sorted([*ids[::2], late])
    state.privacy.correct(ids[0], "It was a cold.")
    assert state.privacy.erase("alice") == {"erased": True, "rows": 4}
    assert [row.user_id for row in rows(host)[1]].count(None) == 4
    assert state.audit.inspection.verify().ok


def test_rows_of_a_month_that_was_not_made_move_to_it_later(host: Flask, clocked: Clock) -> None:
    state = host.extensions["ailydian"]
    for moment in ("2026-07-31 12:00Z", "2026-08-01 12:00Z", "2026-08-02 12:00Z"):
        clocked.set(moment)
        answer(host, "alice", "civic")
    assert lying(host) == {"default": (5, 3)}
    doctor = host.test_cli_runner().invoke(args=["ailydian", "doctor", "--json"])
    found = json.loads(doctor.output)["partitions"]
    assert (found["ok"], found["detail"]) == (False, "Rows lie in the default partition.")
    assert state.audit.inspection.verify().ok
    clocked.set("2026-09-01 12:00Z")
    called = host.test_cli_runner().invoke(args=["ailydian", "audit", "partitions"])
    assert called.exit_code == 0, called.output
    assert called.output.startswith("Made: 2026-09, 2026-10, 2026-11, 2026-12, 2026-07, 2026-08.")
    assert lying(host) == {"2026_07": (2, 1), "2026_08": (3, 2)}
    assert state.audit.inspection.verify().ok
    with state.db.engine.connect() as connection:
        assert guards.present(connection)
    doctor = host.test_cli_runner().invoke(args=["ailydian", "doctor", "--json"])
    found = json.loads(doctor.output)["partitions"]
    assert found["ok"] and "3 of them for months to come" in found["detail"]
    assert state.audit.partitions.make_ahead() == []


def test_too_few_months_ahead_are_told_of(host: Flask, clocked: Clock) -> None:
    clocked.set("2026-04-10 12:00Z")
    called = host.test_cli_runner().invoke(args=["ailydian", "doctor", "--json"])
    found = json.loads(called.output)["partitions"]
    assert not found["ok"] and "1 of them for months to come" in found["detail"]
    rolled = host.test_cli_runner().invoke(args=["ailydian", "metrics", "rollup"])
    assert rolled.exit_code == 0, rolled.output
    called = host.test_cli_runner().invoke(args=["ailydian", "doctor", "--json"])
    assert json.loads(called.output)["partitions"]["ok"]


def test_months_that_are_old_enough_go_as_a_whole_and_the_trail_still_verifies(
    host: Flask, clocked: Clock
) -> None:
    state = host.extensions["ailydian"]
    state.audit.policy.retention_days["medical"] = 2192
    ids = months(host, clocked)
    clocked.set("2026-03-12 12:00Z")
    medical = answer(host, "carol", "medical")
    with state.db.engine.begin() as connection:
        feedback = state.tables.Feedback.__table__
        connection.execute(feedback.insert(), [{"id": id, "rating": 5} for id in ids])
    state.audit.checkpoints.make(now=True)
    clocked.set("2026-10-20 12:00Z")
    state.audit.note("today")
    state.audit.checkpoints.make(now=True)
    assert state.audit.inspection.verify().ok
    before = lying(host)
    planned = state.privacy.retain(dry_run=True)
    # March holds somebody who is kept longer; what else is in it goes one by one.
    assert planned.partitions == ["before 2026-03", "2026-04"]
    assert planned.domains == {"civic": 6, "none": 3}
    assert planned.tables == {"pytorch_feedback": 6}
    assert lying(host) == before
    shown = host.test_cli_runner().invoke(args=["ailydian", "privacy", "retain", "--dry-run"])
    assert "partition before 2026-03: as a whole" in shown.output
    done = state.privacy.retain(actor="officer")
    assert done.body() == planned.body() | {"persons": 2}
    assert [row.id for row in rows(host)[1]] == [medical]
    assert sorted(lying(host)) == ["2026_03", "2026_10"]
    with state.db.engine.connect() as connection:
        assert "2026_04" not in repr(
            sa.inspect(connection).get_table_names("public_pytorch_partitions")
        )
        assert connection.execute(sa.select(sa.func.count()).select_from(feedback)).scalar() == 0
    report = state.audit.inspection.verify()
    assert report.ok, report.bad
    assert state.audit.inspection.verify(incremental=True).ok
    again = state.privacy.retain()
    assert (again.events, again.partitions) == (0, [])
    # Six years later the rest of March goes, and with it its partition.
    clocked.set("2032-04-20 12:00Z")
    assert "2026-03" in state.privacy.retain().partitions
    assert state.audit.inspection.verify().ok
    run(host, "ALTER TABLE pytorch_audit_purges DISABLE TRIGGER USER")
    run(host, "DELETE FROM pytorch_audit_purges")
    assert not state.audit.inspection.verify().ok


def test_rows_wait_for_the_last_of_their_month(host: Flask, clocked: Clock) -> None:
    state = host.extensions["ailydian"]
    for moment in ("2026-03-02 12:00Z", "2026-03-30 12:00Z"):
        clocked.set(moment)
        answer(host, "alice", "civic")
    clocked.set("2026-09-15 12:00Z")
    planned = state.privacy.retain(dry_run=True)
    # February's are gone a month later at most: there are none.
    assert (planned.waiting, planned.events) == (["2026-03"], 0)
    called = host.test_cli_runner().invoke(args=["ailydian", "privacy", "retain"])
    assert "partition 2026-03: not yet, but as a whole within a month" in called.output
    assert len(rows(host)[1]) == 2
    clocked.set("2026-10-01 12:00Z")
    done = state.privacy.retain()
    assert (done.partitions, done.waiting, done.records) == (["2026-03"], [], 2)
    assert state.audit.inspection.verify().ok


def test_rows_that_lie_otherwise_end_one_by_one_and_then_their_empty_partitions(
    host: Flask, clocked: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = host.extensions["ailydian"]
    # As a worker that was started before wrote: all in one chain.
    monkeypatch.setattr("flask_ailydian.audit.chain._month", lambda id: (2026, 2))
    months(host, clocked)
    assert lying(host) == {"2026_03": (0, 2), "2026_04": (0, 2), "before_2026_03": (7, 6 - 4)}
    monkeypatch.undo()
    assert state.audit.inspection.verify().ok
    later = Clock(monkeypatch)
    later.set("2026-12-20 12:00Z")
    done = state.privacy.retain()
    assert (done.events, done.records) == (7, 6)
    assert sorted(done.partitions) == ["2026-03", "2026-04", "2026-05", "before 2026-03"]
    report = state.audit.inspection.verify()
    assert report.ok, report.bad
    assert list(lying(host)) == ["2026_12"]


def test_a_month_that_somebody_reads_stays_until_the_next_time(host: Flask, clocked: Clock) -> None:
    state = host.extensions["ailydian"]
    months(host, clocked)
    clocked.set("2026-12-20 12:00Z")
    before = lying(host)
    with state.db.engine.connect() as reader:
        reader.exec_driver_sql("SELECT count(*) FROM pytorch_inference_logs")
        called = host.test_cli_runner().invoke(args=["ailydian", "privacy", "retain"])
    assert called.exit_code == 0, called.output
    assert "partition 2026-04 stays. Another transaction holds the tables" in called.output
    assert {name: lying(host)[name] for name in before} == before
    with state.db.engine.connect() as connection:
        count = "SELECT count(*) FROM pytorch_audit_purges WHERE chain_id <> 'checkpoints'"
        assert connection.exec_driver_sql(count).scalar() == 0
    assert state.privacy.retain().events == 9
    assert state.audit.inspection.verify().ok


LEAF = "public_pytorch_partitions.pytorch_audit_events_2026_03"


def test_the_database_guards_partitions_as_it_does_the_trail(host: Flask, clocked: Clock) -> None:
    months(host, clocked)
    empty = LEAF.replace("2026_03", "2026_06")
    for sql in (
        *(f"UPDATE {table} SET kind = 'x'" for table in (LEAF, "pytorch_audit_events")),
        *(f"DELETE FROM {table}" for table in (LEAF, "pytorch_audit_events")),
        *(f"TRUNCATE {table}" for table in (LEAF, empty, "pytorch_audit_events")),
    ):
        with pytest.raises(sa.exc.DatabaseError, match="new rows only"):
            run(host, sql)
    cli = host.test_cli_runner()
    assert "down" in cli.invoke(args=["ailydian", "audit", "guard", "remove"]).output
    run(host, f"TRUNCATE {empty}")
    assert "stands" in cli.invoke(args=["ailydian", "audit", "guard", "install"]).output
    for sql in (f"TRUNCATE {empty}", f"DELETE FROM {LEAF}"):
        with pytest.raises(sa.exc.DatabaseError, match="new rows only"):
            run(host, sql)
    run(host, f"DROP TRIGGER pytorch_audit_events_all ON {empty}")
    assert "down" in cli.invoke(args=["ailydian", "audit", "guard", "status"]).output


@pytest.fixture
def restricted(host: Flask, tmp_path: Path) -> t.Iterator[Flask]:
    """The same host as a role that may add to the trail and nothing else."""
    engine = host.extensions["sqlalchemy"].engine
    role, word = f"app_{new_id()[-12:]}", new_id()
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN PASSWORD '{word}'")
        for sql in guards.role_statements(role):
            connection.exec_driver_sql(sql)
    url = engine.url.set(username=role, password=word).render_as_string(hide_password=False)
    app = make_host(tmp_path, database=url, create=False)
    with app.app_context():
        yield app
    dispose(app)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP OWNED BY {role}")
        connection.exec_driver_sql(f"DROP ROLE {role}")


def test_a_role_that_may_only_add_adds_and_does_nothing_else(
    host: Flask, restricted: Flask, clocked: Clock
) -> None:
    with host.app_context():
        months(host, clocked)
        before = lying(host)["2026_04"]
    answer(restricted, None, "civic")
    with host.app_context():
        # Beside the answer the first event of the other process's chain.
        assert lying(host)["2026_04"] == (before[0] + 2, before[1] + 1)
    for sql in (
        f"SELECT * FROM {LEAF}",
        f"INSERT INTO {LEAF} SELECT * FROM pytorch_audit_events",
        f"UPDATE {LEAF} SET kind = 'x'",
        f"DELETE FROM {LEAF}",
        f"TRUNCATE {LEAF}",
        f"DROP TABLE {LEAF}",
        "DELETE FROM pytorch_audit_events",
        "TRUNCATE pytorch_audit_events",
    ):
        with pytest.raises(sa.exc.ProgrammingError, match="permission denied|must be owner"):
            run(restricted, sql)
    clocked.set("2026-06-10 12:00Z")
    called = restricted.test_cli_runner().invoke(args=["ailydian", "audit", "partitions"])
    assert called.exit_code == 1
    assert "run it as the owner of the tables" in called.output
    assert restricted.extensions["ailydian"].audit.partitions.tend() == []
    with host.app_context():
        assert host.extensions["ailydian"].audit.inspection.verify().ok


def test_a_trail_with_rows_is_parted_and_made_whole_again(
    whole: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = whole.extensions["ailydian"]
    run(whole, "CREATE ROLE ailydian_reader")
    try:
        run(whole, "GRANT SELECT ON pytorch_audit_events TO ailydian_reader")
        run(whole, "GRANT UPDATE (user_id) ON pytorch_inference_logs TO ailydian_reader")
        ids = [answer(whole, "alice", "civic") for _ in range(20)]
        state.audit.checkpoints.make(now=True)
        before, shape = rows(whole), described(whole)
        migrate(whole, partitions.upgrade)
        assert rows(whole) == before
        assert described(whole) == shape
        ids += [answer(whole, "alice", "civic") for _ in range(3)]
        state.audit.checkpoints.make(now=True)
        assert state.audit.inspection.verify().ok
        assert {events for events, _ in lying(whole).values()} == {24}
        before = rows(whole)
        migrate(whole, partitions.downgrade)
        assert rows(whole) == before
        assert described(whole) == shape
        assert state.audit.partitions.layout() is None
        answer(whole, "alice", "civic")
        assert state.audit.inspection.verify().ok
        with pytest.raises(sa.exc.DatabaseError, match="new rows only"):
            run(whole, "TRUNCATE pytorch_audit_events")
        query = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE '%pytorch%'"
        with state.db.engine.connect() as connection:
            assert connection.execute(sa.text(query)).scalar() == 0
    finally:
        run(whole, "DROP OWNED BY ailydian_reader")
        run(whole, "DROP ROLE ailydian_reader")


def described(app: Flask) -> list[t.Any]:
    """Return constraints, indexes, triggers and grants of the two tables."""
    with app.extensions["sqlalchemy"].engine.connect() as connection:
        found: list[t.Any] = []
        for table in ("pytorch_audit_events", "pytorch_inference_logs"):
            for sql in (
                # The key of the events is the partitions' own.
                "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
                f"WHERE conrelid = '{table}'::regclass AND conname <> 'pytorch_audit_events_pkey'",
                "SELECT i.indexrelid::regclass::text, replace(pg_get_indexdef(i.indexrelid), "
                f"'ONLY ', '') FROM pg_index i WHERE i.indrelid = '{table}'::regclass "
                "AND i.indexrelid::regclass::text <> 'pytorch_audit_events_pkey'",
                "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger "
                f"WHERE tgrelid = '{table}'::regclass AND NOT tgisinternal",
                "SELECT attname, atttypid::regtype::text, attnotnull, attacl::text "
                f"FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0",
                f"SELECT relacl::text FROM pg_class WHERE oid = '{table}'::regclass",
            ):
                found.append(sorted(map(tuple, connection.exec_driver_sql(sql)), key=repr))
        return found


def test_tables_that_others_refer_to_stay_whole(whole: Flask) -> None:
    key = "varchar(36) REFERENCES pytorch_inference_logs"
    run(whole, f"CREATE TABLE cases (id integer, answer {key})")
    with pytest.raises(sa.exc.DatabaseError, match="cases refers to pytorch_inference_logs"):
        migrate(whole, partitions.upgrade)
    run(whole, "DROP TABLE cases")
    run(whole, "CREATE VIEW seen AS SELECT id FROM pytorch_audit_events")
    with pytest.raises(sa.exc.DatabaseError, match="seen refers to pytorch_audit_events"):
        migrate(whole, partitions.upgrade)
    run(whole, "DROP VIEW seen")
    run(
        whole,
        "INSERT INTO pytorch_inference_logs (id, status, created_at) VALUES ('z', 's', now())",
    )
    with pytest.raises(sa.exc.DatabaseError, match="UUIDv7"):
        migrate(whole, partitions.upgrade)
