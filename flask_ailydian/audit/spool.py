"""A journal on this machine for rows that the database does not take just now."""

from __future__ import annotations

import base64
import json
import sqlite3
import threading
import typing as t
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from .chain import Event
from .claims import Claim
from .sealing import of_nobody
from .writer import Full
from .writer import Item


class Spool:
    """Rows on disk, in the order in which they came.

    :param file: Shared by the workers of one machine.
    :param limit: How many rows it takes before answers are refused.
    """

    def __init__(self, file: Path, limit: int) -> None:
        self._file = file
        self._limit = limit
        self._lock = threading.Lock()

    def put(self, item: Item, persons: t.Sequence[dict[str, t.Any]] = ()) -> None:
        """Write *item*; it is on disk when this returns.

        :param persons: Rows of persons whom the database does not know yet.
        :raises Full: when the spool is.
        """
        with self._lock:
            db = self._opened()
            try:
                with db:
                    db.execute("BEGIN IMMEDIATE")
                    (count,) = db.execute("SELECT count(*) FROM rows").fetchone()
                    if count >= self._limit:
                        raise Full()
                    values = (item.event.id, packed(item))
                    db.execute("INSERT INTO rows (id, body) VALUES (?, ?)", values)
                    for row in persons:
                        known = (row["ref"], json.dumps(row, default=_plain))
                        db.execute("INSERT OR IGNORE INTO persons VALUES (?, ?)", known)
            finally:
                db.close()

    def first(self, count: int) -> list[tuple[str, Item]]:
        """Return the oldest rows."""
        if not self._file.exists():
            return []
        with self._lock:
            db = self._opened()
            try:
                query = "SELECT id, body FROM rows ORDER BY n LIMIT ?"
                return [(id, unpacked(body)) for id, body in db.execute(query, (count,))]
            finally:
                db.close()

    def persons(self, refs: t.Collection[str | None]) -> list[dict[str, t.Any]]:
        """Return the rows of those of *refs* who were made without the database."""
        marks = ",".join("?" * len(refs))
        with self._lock:
            db = self._opened()
            try:
                query = f"SELECT body FROM persons WHERE ref IN ({marks})"
                found = db.execute(query, tuple(refs)).fetchall()
            finally:
                db.close()
        return [json.loads(body, object_hook=_typed) for (body,) in found]

    def forget(self, blinds: t.Collection[str], refs: t.Collection[str]) -> int:
        """Destroy the key of a person whom the database does not know, and unlink what waits.

        :param blinds: The blind indexes under which they may stand.
        :param refs: Their names, as far as the database knows them.
        :returns: How many inference rows were about them.
        """
        if not self._file.exists():
            return 0
        gone, met = set(refs), 0
        with self._lock:
            db = self._opened()
            try:
                with db:
                    db.execute("BEGIN IMMEDIATE")
                    for ref, body in db.execute("SELECT ref, body FROM persons").fetchall():
                        if json.loads(body)["blind"] in blinds:
                            gone.add(ref)
                            db.execute("DELETE FROM persons WHERE ref = ?", (ref,))
                    for n, body in db.execute("SELECT n, body FROM rows").fetchall():
                        item = unpacked(body)
                        if gone.isdisjoint((item.event.actor_ref, item.event.subject_ref)):
                            continue
                        met += item.log is not None and item.event.subject_ref in gone
                        unlinked = (packed(of_nobody(item, gone)), n)
                        db.execute("UPDATE rows SET body = ? WHERE n = ?", unlinked)
                # What was overwritten leaves the journal too.
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                db.close()
        return met

    def drop(self, id: str) -> None:
        """Forget a row that the database has now, and with the last one the persons."""
        with self._lock:
            db = self._opened()
            try:
                with db:
                    db.execute("DELETE FROM rows WHERE id = ?", (id,))
                    db.execute("DELETE FROM persons WHERE NOT EXISTS (SELECT 1 FROM rows)")
            finally:
                db.close()

    def waiting(self) -> int:
        """Return how many rows wait."""
        if not self._file.exists():
            return 0
        with self._lock:
            db = self._opened()
            try:
                return int(db.execute("SELECT count(*) FROM rows").fetchone()[0])
            finally:
                db.close()

    def _opened(self) -> sqlite3.Connection:
        # Opened for each call: rows come here when something is wrong, and a file that a fork
        # shares is a worse trouble than the milliseconds.
        self._file.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self._file, timeout=5.0)
        self._file.chmod(0o600)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA secure_delete=ON")
        db.execute(
            "CREATE TABLE IF NOT EXISTS rows"
            " (n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE, body TEXT)"
        )
        db.execute("CREATE TABLE IF NOT EXISTS persons (ref TEXT PRIMARY KEY, body TEXT)")
        return db


def packed(item: Item) -> str:
    """Return *item* as JSON."""
    claim, values = item.settle or (None, None)
    said = {
        "event": item.event.row(),
        "log": item.log,
        "claim": None if claim is None else [claim.key_hash, claim.token],
        "values": values,
    }
    return json.dumps(said, default=_plain)


def unpacked(body: str) -> Item:
    """Return the item of such a JSON."""
    said = json.loads(body, object_hook=_typed)
    claim = said["claim"]
    settle = None if claim is None else (Claim(*claim), said["values"])
    return Item(Event(**said["event"]), said["log"], settle)


def _plain(value: t.Any) -> dict[str, str]:
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, datetime):
        return {"$moment": value.isoformat()}
    if isinstance(value, Decimal):
        return {"$decimal": str(value)}
    raise TypeError(type(value).__name__)


def _typed(found: dict[str, t.Any]) -> t.Any:
    if len(found) == 1:
        ((name, value),) = found.items()
        if name == "$bytes":
            return base64.b64decode(value)
        if name == "$moment":
            return datetime.fromisoformat(value)
        if name == "$decimal":
            return Decimal(value)
    return found
