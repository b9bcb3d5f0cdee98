"""Whatever is done to a trail is found, and the first bad link is named."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
import sqlite3
import time
import typing as t
from pathlib import Path

import pytest
import sqlalchemy as sa
from audit.trails import events
from flask import Flask
from hosts import dispose
from hosts import make_host
from pymerkle import InmemoryTree
from pymerkle import MerkleProof
from pymerkle import verify_inclusion

from flask_ailydian.audit import canonical
from flask_ailydian.audit import merkle
from flask_ailydian.audit import verify
from flask_ailydian.audit.checkpoints import Checkpoint
from flask_ailydian.audit.checkpoints import Head
from flask_ailydian.audit.checkpoints import of_line
from flask_ailydian.audit.evidence import Evidence
from flask_ailydian.audit.inspection import proven
from flask_ailydian.audit.sinks import Outlet
from flask_ailydian.audit.verify import first
from flask_ailydian.audit.verify import Report
from flask_ailydian.audit.verify import Verifier
from flask_ailydian.clock import new_id
from flask_ailydian.clock import now
from flask_ailydian.database import Database
from flask_ailydian.errors import NotFound

#: `make chaos` asks for a thousand.
TAMPERS = int(os.environ.get("AILYDIAN_TAMPERS", "120"))
Place = tuple[str, int]


def log_row(i: int) -> dict[str, t.Any]:
    row: dict[str, t.Any] = {"id": new_id(), "created_at": now(), "backend": "onnx"}
    row |= dict.fromkeys(("model_id", "ab_test_id", "cost_usd", "error"))
    row |= {"status": "success", "user_id": f"u{i % 3}", "input_hash": f"{i:064x}"}
    return row | {"confidence": 0.5 + i / 64, "inference_time_ms": 1.5 * i, "result": {"a": i}}


@dataclasses.dataclass
class Trail:
    """A trail of three writers, a checkpoint after every event, and yesterday's database."""

    file: Path
    before: Path
    tables: t.Any
    signer: t.Any
    exported: list[str]

    def check(self, file: Path) -> Report:
        engine = sa.create_engine(f"sqlite:///{file}")
        checkpoints = self.tables.AuditCheckpoint.__table__
        with engine.connect() as connection:
            query = checkpoints.select().order_by(checkpoints.c.number)
            stored = [(r.body, r.key_id, r.signature) for r in connection.execute(query)]
        evidence = Evidence(self.signer, stored, map(of_line, self.exported))
        try:
            return Verifier(Database(lambda: engine, 5.0), self.tables, evidence).run()
        finally:
            evidence.close()
            engine.dispose()


@pytest.fixture(scope="module")
def trail(tmp_path_factory: pytest.TempPathFactory) -> Trail:
    folder = tmp_path_factory.mktemp("trail")
    app = make_host(folder, AILYDIAN_CHECKPOINT_SECONDS=0.0)
    audit = app.extensions["ailydian"].audit
    lines: list[str] = []
    audit.checkpoints.outlets[:] = [Outlet(lines.append)]
    with app.app_context():
        for chain in range(3):
            for i in range(5):
                if i % 2:
                    audit.note("noted", actor="u1", subject="u2", detail={"n": i})
                else:
                    audit.record(log_row(5 * chain + i))
                audit.checkpoints.make(audit._delivery._committer.chains.all, now=True)
            audit.close()
            if chain == 1:
                copy_database(folder / "host.db", folder / "yesterday.db")
    dispose(app)
    state = app.extensions["ailydian"]
    signer = state.audit.inspection.signer
    return Trail(folder / "host.db", folder / "yesterday.db", state.tables, signer, lines)


def copy_database(source: Path, target: Path) -> None:
    one, other = sqlite3.connect(source), sqlite3.connect(target)
    with one, other:
        one.backup(other)
    one.close()
    other.close()


# What somebody may do to a trail: each returns the places of which one must be named.


def rows_of(db: sqlite3.Connection) -> list[sqlite3.Row]:
    db.row_factory = sqlite3.Row
    return list(db.execute("SELECT * FROM pytorch_audit_events ORDER BY chain_id, seq"))


def place(row: t.Any) -> Place:
    return row["chain_id"], row["seq"]


def another(value: t.Any, chance: random.Random) -> t.Any:
    if value is None:
        return chance.choice(["x", b"x"])
    if isinstance(value, int):
        return value + chance.choice([-1, 1]) * chance.randint(1, 10**6)
    if isinstance(value, float):
        return value + chance.choice([-1, 1]) * 2.0 ** -chance.randint(1, 40)
    at = chance.randrange(len(value))
    if isinstance(value, bytes):
        return value[:at] + bytes([value[at] ^ chance.randint(1, 255)]) + value[at + 1 :]
    return (
        value[:at]
        + chance.choice([c for c in "0123456789abcdef" if c != value[at]])
        + value[at + 1 :]
    )


WITHOUT_EVENT = (
    "DELETE FROM pytorch_inference_logs WHERE id NOT IN (SELECT id FROM pytorch_audit_events)"
)


def change_an_event(db: sqlite3.Connection, chance: random.Random) -> set[Place]:
    row = chance.choice(rows_of(db))
    column = chance.choice(list(row.keys()))
    value = another(row[column], chance)
    if column in ("domain", "actor_ref", "subject_ref", "sealed_ref") and isinstance(value, bytes):
        value = "x"
    db.execute(f"UPDATE pytorch_audit_events SET {column} = ? WHERE id = ?", (value, row["id"]))
    moved = {"chain_id": row["chain_id"], "seq": row["seq"], column: value}
    # A row that moved is missing where it was, and does not belong where it is.
    places = {place(row), (moved["chain_id"], moved["seq"])}
    return places | ({(value, 1)} if column == "chain_id" else set())


def change_a_record(db: sqlite3.Connection, chance: random.Random) -> set[Place]:
    recorded = [row for row in rows_of(db) if row["record_hash"] is not None]
    row = chance.choice(recorded)
    column = chance.choice(canonical.RECORD)
    query = f"SELECT {column} FROM pytorch_inference_logs WHERE id = ?"
    ((old,),) = db.execute(query, (row["id"],)).fetchall()
    value: t.Any = another(old, chance)
    if column in ("model_id", "ab_test_id", "cost_usd") or (old is None and column != "result"):
        value = 7 if column in ("model_id", "ab_test_id", "cost_usd") else "x"
    if column == "created_at":
        value = "2020-01-01 00:00:00.000000"
    if column == "result":
        value = json.dumps("sealed:" + another(json.loads(old)[7:], chance))
    db.execute(f"UPDATE pytorch_inference_logs SET {column} = ? WHERE id = ?", (value, row["id"]))
    return {place(row)}


def delete_an_event(db: sqlite3.Connection, chance: random.Random) -> set[Place]:
    row = chance.choice(rows_of(db))
    db.execute("DELETE FROM pytorch_audit_events WHERE id = ?", (row["id"],))
    return {place(row)}


def delete_a_record(db: sqlite3.Connection, chance: random.Random) -> set[Place]:
    row = chance.choice([row for row in rows_of(db) if row["record_hash"] is not None])
    db.execute("DELETE FROM pytorch_inference_logs WHERE id = ?", (row["id"],))
    return {place(row)}


def swap_two(db: sqlite3.Connection, chance: random.Random) -> set[Place]:
    one, other = chance.sample(rows_of(db), 2)
    put = "UPDATE pytorch_audit_events SET chain_id = ?, seq = ? WHERE id = ?"
    db.execute(put, ("-", 0, one["id"]))
    db.execute(put, (*place(one), other["id"]))
    db.execute(put, (*place(other), one["id"]))
    return {place(one), place(other)}


def insert(db: sqlite3.Connection, row: t.Any, **changed: t.Any) -> None:
    values = dict(row) | changed
    names, marks = ", ".join(values), ", ".join("?" * len(values))
    db.execute(f"INSERT INTO pytorch_audit_events ({names}) VALUES ({marks})", [*values.values()])


def duplicate_one(db: sqlite3.Connection, chance: random.Random) -> set[Place]:
    row = chance.choice(rows_of(db))
    mine = [r["seq"] for r in rows_of(db) if r["chain_id"] == row["chain_id"]]
    insert(db, row, id=new_id(), seq=max(mine) + 1)
    return {(row["chain_id"], max(mine) + 1)}


def splice_a_tail(db: sqlite3.Connection, chance: random.Random) -> set[Place]:
    one, other = chance.sample(sorted({r["chain_id"] for r in rows_of(db)}), 2)
    cut = chance.randint(2, 5)
    db.execute("DELETE FROM pytorch_audit_events WHERE chain_id = ? AND seq >= ?", (one, cut))
    put = "UPDATE pytorch_audit_events SET chain_id = ? WHERE chain_id = ? AND seq >= ?"
    db.execute(put, (one, other, cut))
    return {(one, cut), (other, cut)}


def cut_a_tail(db: sqlite3.Connection, chance: random.Random) -> set[Place]:
    row = chance.choice(rows_of(db))
    db.execute("DELETE FROM pytorch_audit_events WHERE chain_id = ? AND seq >= ?", place(row))
    logs = (
        "DELETE FROM pytorch_inference_logs WHERE id NOT IN (SELECT id FROM pytorch_audit_events)"
    )
    db.execute(logs)
    return {place(row)}


def drop_a_chain(db: sqlite3.Connection, chance: random.Random) -> set[Place]:
    chain = chance.choice(rows_of(db))["chain_id"]
    db.execute("DELETE FROM pytorch_audit_events WHERE chain_id = ?", (chain,))
    logs = (
        "DELETE FROM pytorch_inference_logs WHERE id NOT IN (SELECT id FROM pytorch_audit_events)"
    )
    db.execute(logs)
    return {(chain, 1)}


def hash_anew(db: sqlite3.Connection, chance: random.Random) -> set[Place]:
    """Change one row and make every hash after it right again; drop the stored checkpoints."""
    row = chance.choice(rows_of(db))
    mine = [r for r in rows_of(db) if r["chain_id"] == row["chain_id"] and r["seq"] >= row["seq"]]
    head = row["prev_hash"]
    for link in mine:
        values = dict(link)
        if link["id"] == row["id"]:
            values["created_us"] += 1
        content = canonical.content_hash(
            **{n: values[n] for n in ("id", "kind", "created_us", "domain", "actor_ref")},
            **{n: values[n] for n in ("subject_ref", "sealed_ref", "payload", "record_hash")},
        )
        values["prev_hash"] = head
        head = canonical.link_hash(values["chain_id"], values["seq"], head, content)
        db.execute(
            "UPDATE pytorch_audit_events SET created_us = ?, prev_hash = ?, row_hash = ?"
            " WHERE id = ?",
            (values["created_us"], values["prev_hash"], head, values["id"]),
        )
    db.execute("DELETE FROM pytorch_audit_checkpoints")
    return {place(row), (row["chain_id"], max(row["seq"], 2))}


TAMPERINGS = (
    change_an_event,
    change_a_record,
    delete_an_event,
    delete_a_record,
    swap_two,
    duplicate_one,
    splice_a_tail,
    cut_a_tail,
    drop_a_chain,
    hash_anew,
)


@pytest.mark.parametrize("tamper", TAMPERINGS, ids=lambda f: f.__name__)
def test_tampering_is_found_and_the_first_bad_link_is_named(
    trail: Trail,
    tmp_path: Path,
    tamper: t.Callable[..., set[Place]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "copy.db"
    for seed in range(TAMPERS // len(TAMPERINGS)):
        # A chain is read in ranges: bad links lie within one, at its edges and across several.
        monkeypatch.setattr(verify, "PAGE", seed % 4 + 1)
        copy_database(trail.file, file)
        db = sqlite3.connect(file)
        with db:
            expected = tamper(db, random.Random(seed))
        db.close()
        report = trail.check(file)
        named = {(bad.chain_id, bad.seq) for bad in report.bad}
        assert named & expected, (seed, expected, report.bad)
        found = first(report.bad)
        assert found is not None and (found.chain_id, found.seq) in expected, (seed, report.bad)
        file.unlink()


def test_good_trails_raise_no_alarm(trail: Trail, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = trail.exported
    for seed in range(TAMPERS):
        # Whatever was exported so far, and however the chains are read.
        chance = random.Random(seed)
        monkeypatch.setattr(verify, "PAGE", chance.randint(1, 20))
        kept = chance.sample(lines, chance.randint(0, len(lines)))
        report = dataclasses.replace(trail, exported=kept).check(trail.file)
        assert report.ok and report.events == 18 and report.records == 9


def test_a_value_of_a_kind_that_no_column_has_is_tampering(trail: Trail, tmp_path: Path) -> None:
    changes = {
        "pytorch_inference_logs": ("created_at", "cost_usd", "result"),
        "pytorch_audit_events": ("created_us", "kind"),
    }
    for table, columns in changes.items():
        for column in columns:
            copy_database(trail.file, tmp_path / "copy.db")
            db = sqlite3.connect(tmp_path / "copy.db")
            with db:
                db.execute(f"UPDATE {table} SET {column} = ?", (1.5 if "us" in column else b"?",))
            db.close()
            report = trail.check(tmp_path / "copy.db")
            assert {bad.seq for bad in report.bad} <= {1, 2} and len(report.bad) >= 3, column
            (tmp_path / "copy.db").unlink()


def test_a_link_is_hashed_alike_on_both_ways() -> None:
    link = canonical.linking("a chain")
    for seq in (1, 2**62):
        for head in (b"h" * 32, b"\0" * 32):
            assert link(seq, head, b"c" * 32) == canonical.link_hash(
                "a chain", seq, head, b"c" * 32
            )


def test_a_database_of_yesterday_is_found_by_what_was_exported(trail: Trail) -> None:
    report = trail.check(trail.before)
    missing = of_line(trail.exported[-1])[0]
    assert [(bad.chain_id, bad.seq) for bad in report.bad] == [
        (Checkpoint.of(missing).heads[0].chain_id, 1)
    ]


def test_a_checkpoint_that_was_changed_is_no_evidence(trail: Trail, tmp_path: Path) -> None:
    file = tmp_path / "copy.db"
    shutil.copy(trail.file, file)
    db = sqlite3.connect(file)
    with db:
        db.execute("UPDATE pytorch_audit_checkpoints SET body = replace(body, '1', '2')")
    db.close()
    assert not trail.check(file).ok


# Merkle trees, beside another implementation


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 64, 100])
def test_roots_and_proofs_are_those_of_rfc_6962(size: int) -> None:
    leaves = [f"leaf {i}".encode() for i in range(size)]
    tree = InmemoryTree(algorithm="sha256")
    running = merkle.Roots()
    for leaf in leaves:
        tree.append_entry(leaf)
        running.add(leaf)
    root = merkle.root(leaves)
    assert root == tree.get_root() == running.root()
    for index in range(size):
        path = merkle.proof(leaves, index)
        assert merkle.included(leaves[index], index, size, path, root)
        assert not merkle.included(b"other", index, size, path, root)
        assert not merkle.included(leaves[index], (index + 1) % size, size, path, root) or size == 1
        # Our path in their form, behind the leaf's own hash: they accept it.
        said = tree.prove_inclusion(index + 1).serialize()
        said["path"] = [merkle.leaf_hash(leaves[index]).hex(), *(node.hex() for node in path)]
        verify_inclusion(tree.get_leaf(index + 1), root, MerkleProof.deserialize(said))


# Through the doors


def test_an_event_is_proven_with_a_public_key_alone(make_app: t.Callable[..., Flask]) -> None:
    app = make_app(AILYDIAN_CHECKPOINT_SECONDS=0.0)
    audit = app.extensions["ailydian"].audit
    with app.app_context():
        id = audit.note("proven", subject="patient-7", detail={"n": 1})
        audit.close()
        audit.note("of another writer")
        with pytest.raises(NotFound, match="yet"):
            audit.inspection.prove(id)
        audit.checkpoints.make(now=True)
        early = audit.inspection.prove(id)
        audit.note("later")
        audit.checkpoints.make(now=True)
        proof = json.loads(json.dumps(audit.inspection.prove(id)))
        assert proof == early
        first_one = events(app)[0].id
        longer = audit.inspection.prove(first_one)
        with pytest.raises(NotFound):
            audit.inspection.prove(new_id())
    key = audit.inspection.signer.public_keys()[0].hex()
    assert len(longer["links"]) == 1 and proven(longer, key)
    assert proven(proof, key)
    assert not proven(proof | {"seq": proof["seq"] + 1}, key)
    assert not proven(proof | {"event": proof["event"] | {"kind": "other"}}, key)
    assert not proven(longer | {"links": []}, key)
    assert not proven(proof, "00" * 32)


def test_what_was_verified_is_not_walked_again(app: Flask) -> None:
    audit = app.extensions["ailydian"].audit
    with app.app_context():
        audit.note("one")
        whole = audit.inspection.verify()
        audit.note("two")
        later = audit.inspection.verify(incremental=True)
        assert (whole.ok, later.ok, later.events) == (True, True, 1)
        assert audit.inspection.verify().events == whole.events + 1


def test_checkpoints_are_made_while_the_trail_grows(make_app: t.Callable[..., Flask]) -> None:
    app = make_app(AILYDIAN_CHECKPOINT_SECONDS=0.05)
    audit = app.extensions["ailydian"].audit
    export = Path(app.instance_path) / "ailydian" / "checkpoints.jsonl"
    with app.app_context():
        audit.note("one")
        until = 50
        while not export.exists() and until:
            until -= 1
            time.sleep(0.1)
        chain = events(app)[-1]
    body, _, _ = of_line(export.read_text().splitlines()[-1])
    assert Checkpoint.of(body).heads == (Head(chain.chain_id, chain.seq, chain.row_hash),)
