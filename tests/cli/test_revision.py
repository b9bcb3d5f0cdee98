"""`flask ailydian revision` in the host's own Alembic history."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from flask import Flask
from flask_migrate import Migrate

Run = t.Callable[..., str]


@pytest.fixture
def run(make_app: t.Callable[..., Flask], tmp_path: Path) -> Run:
    app = make_app(create=False)
    Migrate(app, app.extensions["sqlalchemy"], directory=str(tmp_path / "migrations"))

    def call(*args: str, fails: bool = False) -> str:
        result = app.test_cli_runner().invoke(args=args)
        assert (result.exit_code != 0) is fails, result.output
        return t.cast(str, result.output)

    return call


def test_the_tables_come_and_go_with_one_head(run: Run) -> None:
    run("db", "init")
    assert "flask db upgrade" in run("ailydian", "revision")
    assert "up to date" in run("ailydian", "revision")
    run("db", "upgrade")
    run("db", "migrate", "-m", "the host's own")
    run("db", "upgrade")
    run("db", "check")
    assert run("db", "heads").count("(head)") == 1
    run("db", "downgrade", "base")


def test_tables_that_the_host_wrote_down_first_are_adopted(run: Run) -> None:
    run("db", "init")
    run("db", "migrate", "-m", "everything at once")
    assert "already" in run("ailydian", "revision")
    run("db", "upgrade")
    run("db", "check")
    assert "up to date" in run("ailydian", "revision")
    run("db", "downgrade", "base")


def test_without_a_migrations_folder_the_remedy_is_named(run: Run) -> None:
    assert "flask db init" in run("ailydian", "revision", fails=True)


def test_several_heads_are_for_the_host_to_merge(run: Run) -> None:
    run("db", "init")
    run("db", "revision", "--rev-id", "a")
    run("db", "revision", "--rev-id", "b", "--head", "base", "--splice")
    assert "merge" in run("ailydian", "revision", fails=True)
