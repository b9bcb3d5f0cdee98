"""What the doctor sees around the app, and what it says of it."""

from __future__ import annotations

import json
import shutil
import time
import typing as t
from collections import namedtuple
from datetime import timedelta
from pathlib import Path

import pytest
from databases import database
from flask import Flask

from flask_ailydian import current_ailydian

Disk = namedtuple("Disk", "total used free")


def look(app: Flask) -> dict[str, dict[str, t.Any]]:
    result = app.test_cli_runner().invoke(args=["ailydian", "doctor", "--json"])
    assert "Traceback" not in result.output
    return t.cast(dict[str, dict[str, t.Any]], json.loads(result.stdout))


def test_a_host_that_works_is_well_in_every_respect(app: Flask) -> None:
    found = look(app)
    assert {name for name, check in found.items() if not check["ok"]} == set()
    assert {"disk", "clock", "connections", "gunicorn", "server", "counts", "pages"} <= set(found)
    assert "Nothing" in found["server"]["detail"] or "None" in found["server"]["detail"]


def test_a_full_disk_is_told(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(2**40, 2**40 - 2**20, 2**20))
    found = look(app)["disk"]
    assert not found["ok"] and "1 MiB" in found["detail"] and "Make room" in found["remedy"]


def test_a_clock_behind_the_trail_is_told(app: Flask) -> None:
    with app.app_context():
        current_ailydian.audit.note("looked_at")
        current_ailydian.audit.close()
        events = current_ailydian.tables.AuditEvent.__table__
        ahead = int((time.time() + 3600) * 1e6)
        with current_ailydian.db.engine.begin() as connection:
            connection.execute(events.update().values(created_us=ahead))
    found = look(app)["clock"]
    assert not found["ok"] and "ahead of this clock" in found["detail"]


def test_more_connections_than_postgresql_takes_are_told(
    make_app: t.Callable[..., Flask], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database("postgresql", tmp_path) as url:
        app = make_app(database=url, SQLALCHEMY_ENGINE_OPTIONS={"pool_size": 40})
        assert look(app)["connections"]["ok"]
        monkeypatch.setenv("WEB_CONCURRENCY", "16")
        found = look(app)["connections"]
        assert not found["ok"] and "pool_size" in found["remedy"]
        with app.app_context():
            current_ailydian.audit.close()
            current_ailydian.db.engine.dispose()


def test_workers_that_count_apart_are_told(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("prometheus_client", reason="needs the extra prometheus")
    monkeypatch.setenv("WEB_CONCURRENCY", "3")
    found = look(app)["counts"]
    assert not found["ok"] and "one of 3" in found["detail"]
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "nowhere"))
    assert not look(app)["counts"]["ok"]
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    assert look(app)["counts"]["ok"]


def test_keys_that_end_soon_are_named(make_app: t.Callable[..., Flask]) -> None:
    app = make_app(AILYDIAN_API_KEYS=True)
    with app.app_context():
        current_ailydian.api_keys.create("soon", expires_in=timedelta(days=3))
        current_ailydian.api_keys.create("later", expires_in=timedelta(days=90))
    detail = look(app)["api keys"]["detail"]
    assert detail.startswith("2 keys") and "soon" in detail and "later" not in detail
