from __future__ import annotations

import typing as t
import uuid
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from databases import database
from flask import Flask
from hosts import dispose
from hosts import make_host
from hosts import NamedBase

from flask_ailydian.tables import steps
from flask_ailydian.tables.steps import partitions
from flask_ailydian.tables.steps import unlink

OURS = "pytorch_"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> t.Iterator[str]:
    with database(request.param, tmp_path) as made:
        yield made


@pytest.fixture(params=[None, NamedBase], ids=["plain", "naming-convention"])
def host(request: pytest.FixtureRequest, url: str, tmp_path: Path) -> t.Iterator[Flask]:
    # A declarative base keeps its tables for ever: each test takes a base of its own.
    base = request.param
    if base is not None:
        convention = base.metadata.naming_convention
        metadata = sa.MetaData(naming_convention=convention)
        base = type("Base", (sa.orm.DeclarativeBase,), {"metadata": metadata})
    app = make_host(tmp_path, database=url, base=base, create=False)
    yield app
    dispose(app)


def test_steps_build_exactly_the_models_and_take_them_away(host: Flask) -> None:
    db = host.extensions["sqlalchemy"]
    with host.app_context(), db.engine.begin() as connection:
        opts = {
            "target_metadata": db.metadata,
            "compare_type": True,
            "compare_server_default": True,
            "include_name": lambda name, kind, _: kind != "table" or name.startswith(OURS),
            "include_object": lambda _, name, kind, *__: kind != "table" or name.startswith(OURS),
        }
        context = MigrationContext.configure(connection, opts=opts)
        operations = Operations(context)
        steps.run(operations, 0, steps.LATEST)
        assert compare_metadata(context, db.metadata) == []
        partitions.upgrade(operations)
        assert compare_metadata(context, db.metadata) == []
        partitions.downgrade(operations)
        assert compare_metadata(context, db.metadata) == []
        steps.run(operations, steps.LATEST, 0)
        assert sa.inspect(connection).get_table_names() == []


def test_a_name_has_one_active_version_at_most(host: Flask) -> None:
    db = host.extensions["sqlalchemy"]
    with host.app_context():
        db.create_all()
        table = host.extensions["ailydian"].tables.Model.__table__
        row = {
            "model_name": "m",
            "model_type": "onnx",
            "domain": "civic",
            "task": "tensor",
            "deployment_status": "active",
        }
        with db.engine.begin() as connection:
            connection.execute(table.insert(), {**row, "model_version": "1"})
            other = {**row, "model_version": "2", "deployment_status": "testing"}
            connection.execute(table.insert(), other)
        with pytest.raises(sa.exc.IntegrityError), db.engine.begin() as connection:
            connection.execute(table.insert(), {**row, "model_version": "3"})


def test_a_test_of_the_first_schema_survives_what_came_later(host: Flask) -> None:
    db = host.extensions["sqlalchemy"]
    with host.app_context(), db.engine.begin() as connection:
        operations = Operations(MigrationContext.configure(connection))
        steps.run(operations, 0, 1)
        columns = "model_name, model_version, model_type, domain, task, deployment_status"
        connection.execute(
            sa.text(
                f"INSERT INTO pytorch_models (id, {columns}, created_at, updated_at) VALUES "
                "(7, 'm', '1', 'onnx', 'civic', 'tensor', 'active', '2026-01-01', '2026-01-01')"
            )
        )
        connection.execute(
            sa.text(
                "INSERT INTO pytorch_ab_tests (id, test_name, model_a_id, model_b_id, status, "
                "traffic_split_percent, model_a_requests, model_b_requests, "
                "model_a_avg_latency_ms) VALUES (3, 'old', 7, 7, 'running', 20, 5, 6, 1.5)"
            )
        )
        asked = sa.text(
            "SELECT id, test_name, model_b_id, model_b_requests, model_a_avg_latency_ms "
            "FROM pytorch_ab_tests"
        )
        for stop in (steps.LATEST, 1):
            steps.run(operations, 1 if stop > 1 else steps.LATEST, stop)
            assert list(connection.execute(asked)) == [(3, "old", 7, 6, 1.5)]


@pytest.mark.parametrize(
    "key", [sa.Integer, sa.String(36), sa.Uuid], ids=["number", "text", "uuid"]
)
def test_deleting_a_user_empties_the_reference_and_nothing_else(
    url: str, tmp_path: Path, key: t.Any
) -> None:
    app = make_host(tmp_path, database=url)
    users = sa.Table("person", sa.MetaData(), sa.Column("id", key, primary_key=True))
    ids: list[t.Any] = [7, 8]
    if key is sa.Uuid:
        ids = [uuid.uuid4(), uuid.uuid4()]
    elif key is not sa.Integer:
        ids = ["seven", "eight"]
    logs = app.extensions["ailydian"].tables.InferenceLog.__table__
    with app.app_context(), app.extensions["sqlalchemy"].engine.begin() as connection:
        operations = Operations(MigrationContext.configure(connection))
        users.create(connection)
        unlink.upgrade(operations, "person.id")
        connection.execute(users.insert(), [{"id": id} for id in ids])
        # As the database writes a key as text: SQLite keeps a UUID without its hyphens.
        text = sa.cast(users.c.id, sa.String) if connection.dialect.name != "sqlite" else users.c.id
        said = [
            str(row[0]) for row in connection.execute(sa.select(sa.type_coerce(text, sa.String)))
        ]
        for name in said:
            connection.execute(logs.insert(), {"id": name, "user_id": name, "status": "success"})
        connection.execute(users.delete().where(users.c.id == ids[0]))
        kept = {row.id: row.user_id for row in connection.execute(logs.select())}
        # The row of the one is nobody's now; that of the other is as it was.
        assert list(kept.values()).count(None) == 1
        assert all(user in (None, id) for id, user in kept.items())
        unlink.downgrade(operations, "person.id")
        connection.execute(users.delete())
        after = connection.execute(sa.select(logs.c.user_id)).scalars().all()
        assert sorted(map(str, after)) == sorted(map(str, kept.values()))
    dispose(app)
