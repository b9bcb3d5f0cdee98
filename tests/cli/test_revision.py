"""`flask ailydian revision` in the host's own Alembic history."""

from __future__ import annotations

import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

Run = t.Callable[..., str]

HOST = """
from flask import Flask
from flask_ailydian import FlaskAilydian
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///host.db"
db = SQLAlchemy(app)
Migrate(app, db)

class Dog(db.Model):
    id = db.Column(db.Integer, primary_key=True)

FlaskAilydian(app)
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "app.py").write_text(HOST)

    def call(*args: str, fails: bool = False) -> str:
        result = subprocess.run(
            [sys.executable, "-m", "flask", *args],
            cwd=tmp_path,
            env=os.environ | {"FLASK_APP": "app"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        said = result.stdout + result.stderr
        assert (result.returncode != 0) is fails, said
        assert "Traceback" not in said
        return said

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
