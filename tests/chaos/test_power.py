"""Power cuts: what was acknowledged is on the disk afterwards, and the chains are whole."""

from __future__ import annotations

import os
import random
import sqlite3
import typing as t
from pathlib import Path

import pytest
import sqlalchemy as sa
from chaos import power
from flask import Flask
from hosts import dispose
from hosts import make_host

from flask_ailydian.audit.chain import Event
from flask_ailydian.audit.commit import Committer
from flask_ailydian.audit.evidence import Evidence
from flask_ailydian.audit.line import Line
from flask_ailydian.audit.signing import Signer
from flask_ailydian.audit.verify import Verifier
from flask_ailydian.audit.writer import Item
from flask_ailydian.clock import new_id
from flask_ailydian.database import Database

#: `make chaos` asks for six hundred.
CUTS = int(os.environ.get("AILYDIAN_POWER_CUTS", "60"))


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, t.Any]:
    """An empty database with our tables, and the tables."""
    folder = tmp_path_factory.mktemp("blank")
    app: Flask = make_host(folder)
    tables = app.extensions["ailydian"].tables
    dispose(app)
    return (folder / "host.db").read_bytes(), tables


def event(id: str | None = None) -> Event:
    return Event(id or new_id(), "noted", 1)


class Early(Committer):
    """A mutant: says yes before it has committed."""

    _late: list[Item] | None = None

    def commit(self, items: list[Item], due: float) -> None:
        late, self._late = self._late, items
        if late is not None:
            super().commit(late, due)


def lost(
    blank: tuple[bytes, t.Any],
    folder: Path,
    seed: int,
    *,
    half: bool,
    committer: type[Committer] = Committer,
    synchronous: str | None = None,
) -> int:
    """Run until the power is cut; return how many acknowledged events are gone afterwards."""
    data, tables = blank
    chance = random.Random(seed)
    disk = power.Disk({"power.db": data}, cut_after=chance.randint(8, 160))
    vfs = power.Vfs(disk)
    engine = power.engine()
    line = Line(lambda: engine, 5.0)
    writer = committer(line, tables, event, lambda connection, refs: refs)
    acknowledged: list[str] = []
    try:
        for _ in range(1000):
            if disk.cut:
                break
            if synchronous is not None and line._connection is not None:
                line._connection.exec_driver_sql(f"PRAGMA synchronous={synchronous}")
                line._connection.commit()
            items = [Item(event()) for _ in range(chance.randint(1, 4))]
            writer.commit(items, 1e12)
            assert disk.cut or not any(item.error for item in items), items[0].error
            acknowledged += [item.event.id for item in items if item.error is None]
    except sa.exc.OperationalError:
        assert disk.cut
    finally:
        line.drop()
        engine.dispose()
        vfs.unregister()
    return missing(disk, chance if half else None, folder, tables, acknowledged)


def missing(
    disk: power.Disk, chance: t.Any, folder: Path, tables: t.Any, acknowledged: list[str]
) -> int:
    for name, image in disk.after(chance).items():
        (folder / name).write_bytes(image)
    db = sqlite3.connect(folder / "power.db")
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    there = {id for (id,) in db.execute("SELECT id FROM pytorch_audit_events")}
    db.close()
    engine = sa.create_engine(f"sqlite:///{folder / 'power.db'}")
    evidence = Evidence(Signer(None), ())  # type: ignore[arg-type]
    report = Verifier(Database(lambda: engine, 5.0), tables, evidence).run()
    evidence.close()
    engine.dispose()
    assert report.ok, report.bad
    for file in folder.iterdir():
        file.unlink()
    return len(set(acknowledged) - there)


@pytest.mark.parametrize("half", [False, True], ids=["nothing-unsynced", "half-of-it"])
def test_no_acknowledged_event_is_lost_in_a_power_cut(
    blank: tuple[bytes, t.Any], tmp_path: Path, half: bool
) -> None:
    assert sum(lost(blank, tmp_path, seed, half=half) for seed in range(CUTS // 2)) == 0


def test_the_cuts_would_tell_of_a_lazier_database(
    blank: tuple[bytes, t.Any], tmp_path: Path
) -> None:
    assert any(lost(blank, tmp_path, s, half=False, synchronous="NORMAL") for s in range(30))


def test_the_cuts_would_tell_of_a_writer_that_is_too_early(
    blank: tuple[bytes, t.Any], tmp_path: Path
) -> None:
    assert any(lost(blank, tmp_path, s, half=False, committer=Early) for s in range(30))
