"""`flask ailydian revision` in the host's own Alembic history."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import sqlalchemy as sa
from databases import database

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


def test_deleting_a_user_unlinks_the_rows_where_the_host_names_its_table(
    run: Run, tmp_path: Path
) -> None:
    named = 'app.config["AILYDIAN_USER_TABLE"] = "dog.id"\nFlaskAilydian(app)'
    (tmp_path / "app.py").write_text(HOST.replace("FlaskAilydian(app)", named))
    run("db", "init")
    run("db", "migrate", "-m", "the host's own and ours")
    run("ailydian", "revision")
    assert "up to date" in run("ailydian", "revision")
    run("db", "upgrade")
    run("db", "check")
    db = sqlite3.connect(tmp_path / "instance" / "host.db")
    with contextlib.closing(db), db:
        db.execute("INSERT INTO dog (id) VALUES (7), (8)")
        row = "INSERT INTO pytorch_inference_logs (id, user_id, status, created_at)"
        for id, user in (("a", "7"), ("b", "8")):
            db.execute(f"{row} VALUES (?, ?, 'success', '2026-01-01')", (id, user))
        db.execute("DELETE FROM dog WHERE id = 7")
        kept = db.execute("SELECT id, user_id FROM pytorch_inference_logs ORDER BY id").fetchall()
    assert kept == [("a", None), ("b", "8")]
    run("db", "downgrade", "base")


def test_a_table_that_is_named_later_gets_a_migration_of_its_own(run: Run, tmp_path: Path) -> None:
    run("db", "init")
    run("ailydian", "revision")
    named = 'app.config["AILYDIAN_USER_TABLE"] = "dog.id"\nFlaskAilydian(app)'
    (tmp_path / "app.py").write_text(HOST.replace("FlaskAilydian(app)", named))
    assert "Wrote" in run("ailydian", "revision")
    assert "up to date" in run("ailydian", "revision")


def test_partitions_are_a_migration_of_the_hosts_own(run: Run, tmp_path: Path) -> None:
    with database("postgresql", tmp_path) as url:
        (tmp_path / "app.py").write_text(HOST.replace("sqlite:///host.db", url))
        run("db", "init")
        assert run("ailydian", "revision", "--partitions", "monthly").count("Wrote") == 1
        assert "up to date" in run("ailydian", "revision", "--partitions", "monthly")
        assert "PARTITION BY RANGE" in run("db", "upgrade", "--sql")
        run("db", "upgrade")
        run("db", "migrate", "-m", "the host's own")
        run("db", "upgrade")
        run("db", "check")
        assert kinds(url) == {"pytorch_audit_events": "p", "pytorch_inference_logs": "p"}
        assert "before" in run("ailydian", "audit", "partitions")
        assert "Wrote" in run("ailydian", "revision", "--partitions", "none")
        run("db", "upgrade")
        run("db", "check")
        assert kinds(url) == {"pytorch_audit_events": "r", "pytorch_inference_logs": "r"}
        assert "tables are whole" in run("ailydian", "audit", "partitions")
        run("db", "downgrade")
        assert set(kinds(url).values()) == {"p"}
        run("db", "downgrade", "base")
        assert kinds(url) == {}


def kinds(url: str) -> dict[str, str]:
    """Return whether the two tables are whole (r) or parted (p)."""
    engine = sa.create_engine(url)
    query = "SELECT relname, relkind::text FROM pg_class WHERE relname IN (:events, :logs)"
    names = {"events": "pytorch_audit_events", "logs": "pytorch_inference_logs"}
    with engine.connect() as connection:
        found = {name: kind for name, kind in connection.execute(sa.text(query), names)}
    engine.dispose()
    return found


def test_on_sqlite_partitions_are_nothing(run: Run) -> None:
    run("db", "init")
    said = run("ailydian", "revision", "--partitions", "monthly")
    assert "SQLite has no partitions" in said
    run("db", "upgrade")
    run("db", "migrate", "-m", "the host's own")
    run("db", "upgrade")
    run("db", "check")
    assert "tables are whole" in run("ailydian", "audit", "partitions")
    run("db", "downgrade", "base")
