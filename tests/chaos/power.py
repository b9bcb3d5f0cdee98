"""A disk whose power can be cut: what was not synced is gone, or half of it is.

SQLite itself runs on it, through a VFS of APSW; a small driver lets SQLAlchemy use that.
"""

from __future__ import annotations

import random
import sqlite3
import typing as t
from pathlib import Path

import apsw
import sqlalchemy as sa


class PowerCut(Exception):
    """The power is gone; nothing works any more."""


class Disk:
    """Files in memory: what is synced, and what was written since."""

    def __init__(self, files: dict[str, bytes], cut_after: int) -> None:
        self.synced = dict(files)
        self.now = {name: bytearray(data) for name, data in files.items()}
        self.pending: dict[str, list[tuple[int, bytes] | int]] = {}
        self.left = cut_after
        self.cut = False

    def step(self) -> None:
        """Count one operation that changes the disk; the last one does not happen."""
        if self.cut:
            raise PowerCut()
        self.left -= 1
        if self.left <= 0:
            self.cut = True
            raise PowerCut()

    def sync(self, name: str) -> None:
        self.synced[name] = bytes(self.now[name])
        self.pending[name] = []

    def after(self, chance: random.Random | None) -> dict[str, bytes]:
        """Return the files as they are found afterwards.

        :param chance: Decides which half of the writes that were not synced arrived; without it
            none did.
        """
        found = {}
        for name, data in self.synced.items():
            image = bytearray(data)
            for write in self.pending.get(name, ()):
                if chance is None or chance.random() < 0.5:
                    continue
                if isinstance(write, int):
                    del image[write:]
                else:
                    at, piece = write
                    image.extend(bytes(max(0, at + len(piece) - len(image))))
                    image[at : at + len(piece)] = piece
            found[name] = bytes(image)
        return found


class File:
    """One open file."""

    def __init__(self, disk: Disk, name: str) -> None:
        self._disk, self._name = disk, name
        disk.now.setdefault(name, bytearray())
        disk.synced.setdefault(name, b"")

    def xRead(self, amount: int, offset: int) -> bytes:
        return bytes(self._disk.now[self._name][offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:
        self._disk.step()
        image = self._disk.now[self._name]
        image.extend(bytes(max(0, offset + len(data) - len(image))))
        image[offset : offset + len(data)] = data
        self._disk.pending.setdefault(self._name, []).append((offset, bytes(data)))

    def xTruncate(self, size: int) -> None:
        self._disk.step()
        del self._disk.now[self._name][size:]
        self._disk.pending.setdefault(self._name, []).append(size)

    def xSync(self, flags: int) -> None:
        self._disk.step()
        self._disk.sync(self._name)

    def xFileSize(self) -> int:
        return len(self._disk.now[self._name])

    def xClose(self) -> None:
        pass

    def xLock(self, level: int) -> None:
        pass

    def xUnlock(self, level: int) -> None:
        pass

    def xCheckReservedLock(self) -> bool:
        return False

    def xFileControl(self, op: int, pointer: int) -> bool:
        return False

    def xSectorSize(self) -> int:
        return 512

    def xDeviceCharacteristics(self) -> int:
        return 0


class Vfs(apsw.VFS):
    """Opens files on one disk."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        super().__init__("power", "")

    def xOpen(self, name: t.Any, flags: list[int]) -> File:
        flags[1] = flags[0]
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        return File(self.disk, Path(path or "temporary").name)

    def xAccess(self, path: str, flags: int) -> bool:
        return Path(path).name in self.disk.now

    def xDelete(self, path: str, sync: bool) -> None:
        self.disk.step()
        for files in (self.disk.now, self.disk.synced, self.disk.pending):
            files.pop(Path(path).name, None)

    def xFullPathname(self, name: str) -> str:
        return f"/{Path(name).name}"


class Cursor:
    """The part of a driver's cursor that SQLAlchemy uses."""

    arraysize = 1
    rowcount = -1
    lastrowid = None

    def __init__(self, connection: apsw.Connection) -> None:
        self._cursor = connection.cursor()
        self._rows: list[t.Any] = []
        self.description: t.Any = None

    def execute(self, sql: str, values: t.Any = ()) -> Cursor:
        try:
            self._rows = list(self._cursor.execute(sql, values))
        except (apsw.Error, PowerCut) as error:
            raise sqlite3.OperationalError(str(error)) from error
        self.description = [("column", *[None] * 6)] if self._rows else None
        return self

    def executemany(self, sql: str, rows: t.Any) -> None:
        for values in rows:
            self.execute(sql, values)

    def fetchone(self) -> t.Any:
        return self._rows.pop(0) if self._rows else None

    def fetchall(self) -> t.Any:
        rows, self._rows = self._rows, []
        return rows

    def close(self) -> None:
        self._cursor.close()


class Connection:
    """The part of a driver's connection that SQLAlchemy uses."""

    def __init__(self) -> None:
        self._own = apsw.Connection("/power.db", vfs="power")
        # Without shared memory, which a Python VFS does not have.
        self._own.execute("PRAGMA locking_mode=EXCLUSIVE")

    isolation_level = ""

    def create_function(self, *args: t.Any, **kwargs: t.Any) -> None:
        """SQLAlchemy adds functions of its own, of which we use none."""

    @property
    def in_transaction(self) -> bool:
        return self._own.in_transaction

    def cursor(self) -> Cursor:
        return Cursor(self._own)

    def execute(self, sql: str, values: t.Any = ()) -> Cursor:
        return self.cursor().execute(sql, values)

    def commit(self) -> None:
        if self.in_transaction:
            self.execute("COMMIT")

    def rollback(self) -> None:
        if self.in_transaction:
            self.execute("ROLLBACK")

    def close(self) -> None:
        try:
            self._own.close()
        except (apsw.Error, PowerCut) as error:
            raise sqlite3.OperationalError(str(error)) from error


def engine() -> sa.Engine:
    """Return an engine whose database lies on the disk of the VFS that is registered."""

    def connect() -> t.Any:
        try:
            return Connection()
        except (apsw.Error, PowerCut) as error:
            raise sqlite3.OperationalError(str(error)) from error

    made = sa.create_engine("sqlite:////power.db", creator=connect, poolclass=sa.pool.NullPool)
    return made
