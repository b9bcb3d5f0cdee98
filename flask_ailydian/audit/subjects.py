"""A key for every person: made when first needed, destroyed when the person is erased."""

from __future__ import annotations

import collections
import collections.abc as c
import dataclasses
import functools
import hashlib
import hmac
import secrets
import threading
import time
import typing as t
import uuid

import sqlalchemy as sa

from ..database import Database
from . import statements
from .keys import derive
from .keys import KeyProvider
from .keys import KeyUnavailable
from .keys import open_sealed
from .keys import seal
from .offline import MadeHere

#: How many persons a process keeps at hand, and for how many seconds.
CACHED, CACHED_SECONDS = 10_000, 300.0
#: The one that seals what is about nobody.
DEPLOYMENT = b"deployment"


@dataclasses.dataclass(frozen=True)
class Subject:
    """A person under a random name, and the key of what is sealed about them."""

    ref: str
    key: bytes

    def seal(self, plain: bytes, what: str) -> bytes:
        """Encrypt *plain*, bound to this person and to *what* it is."""
        return seal(self.key, plain, f"{self.ref} {what}".encode())

    def open(self, sealed: bytes, what: str) -> bytes:
        """Decrypt, or raise :class:`KeyUnavailable`."""
        return open_sealed(self.key, sealed, f"{self.ref} {what}".encode())

    def fingerprint(self, kind: str, data: bytes) -> str:
        """Return a keyed hash that dies with the person's key."""
        key = derive(self.key, "fingerprint")
        return hmac.new(key, kind.encode() + b"\0" + data, hashlib.sha256).hexdigest()


class Subjects:
    """The persons of one deployment.

    :param database: Holds the wrapped keys.
    :param separate: Whether that is another database than the one with the rows.
    :param offline: Whether a person is made here while that database is away; who is made so is
        told by :meth:`made_here` and must be brought to it by :meth:`adopt`.
    """

    def __init__(
        self,
        database: Database,
        table: sa.Table,
        keys: KeyProvider,
        *,
        separate: bool = False,
        offline: bool = False,
    ) -> None:
        self._database = database
        self.separate = separate
        self._offline = offline
        self._made_here: MadeHere[Subject] = MadeHere(CACHED_SECONDS)
        self.table = table
        self.keys = keys
        self._lock = threading.Lock()
        self._cache: collections.OrderedDict[bytes, tuple[float, Subject]]
        self._cache = collections.OrderedDict()

    def of(self, user_id: str) -> Subject:
        """Return the person with the host's id *user_id*, made when new."""
        return self._get(b"user\0" + user_id.encode(), user_id)

    def deployment(self) -> Subject:
        """Return the one that seals what is about nobody."""
        return self._get(DEPLOYMENT, None)

    def find(self, user_id: str) -> str | None:
        """Return the reference of a person who is known and not erased."""
        found = self._row(b"user\0" + user_id.encode())
        return None if found is None else str(found.ref)

    def by_ref(self, ref: str) -> Subject:
        """Return a person by reference.

        :raises KeyUnavailable: after erasure.
        """
        with self._database.connect() as connection:
            query = self.table.select().where(self.table.c.ref == ref)
            row = connection.execute(query).first()
        if row is None or row.wrapped is None:
            raise KeyUnavailable("This person was erased.")
        return self._opened(row)

    def identity(self, ref: str) -> str | None:
        """Return the host's id of a reference, or ``None`` after erasure."""
        with self._database.connect() as connection:
            query = self.table.select().where(self.table.c.ref == ref)
            row = connection.execute(query).first()
        if row is None or row.wrapped is None or row.identity is None:
            return None
        return self._opened(row).open(row.identity, "identity").decode()

    def forget(self, refs: c.Collection[str]) -> None:
        """Drop persons from this process's memory."""
        with self._lock:
            for name in [n for n, (_, s) in self._cache.items() if s.ref in refs]:
                del self._cache[name]

    def forget_made_here(self, user_id: str) -> None:
        """Drop a person whom this process made without the database, with their key."""
        self._made_here.forget(b"user\0" + user_id.encode())

    def forget_all(self) -> None:
        """Drop everybody from this process's memory."""
        with self._lock:
            self._cache.clear()

    def alive(self, connection: sa.Connection, refs: set[str]) -> set[str]:
        """Return which of *refs* are not erased, and hold off their erasure until the commit."""
        if self.separate:
            with self._database.connect() as own:
                return statements.alive(self.table, own, refs)
        return statements.alive(self.table, connection, refs)

    def blinds(self, name: bytes) -> list[str]:
        """Return the blind indexes under which *name* may stand, newest key first."""
        found = []
        for key_id in self.keys.ids():
            key = self.keys.secret(key_id, "blind index")
            found.append(hmac.new(key, name, hashlib.sha256).hexdigest())
        return found

    def _get(self, name: bytes, user_id: str | None) -> Subject:
        moment = time.monotonic()
        with self._lock:
            cached = self._cache.get(name)
            if cached is not None and cached[0] > moment:
                self._cache.move_to_end(name)
                return cached[1]
        try:
            row = self._row(name)
            subject = self._opened(row) if row is not None else self._made(name, user_id)
        except (sa.exc.SQLAlchemyError, OSError):
            if not self._offline:
                raise
            return self._made_here.get_or_make(name, lambda: self._new(name, user_id))
        self._made_here.forget(name)
        with self._lock:
            self._cache[name] = (moment + CACHED_SECONDS, subject)
            while len(self._cache) > CACHED:
                self._cache.popitem(last=False)
        return subject

    def _row(self, name: bytes) -> t.Any:
        query = self.table.select().where(self.table.c.blind.in_(self.blinds(name)))
        return self._database.transact(lambda connection: connection.execute(query).first())

    def _opened(self, row: t.Any) -> Subject:
        return Subject(row.ref, self.keys.unwrap(row.key_id, row.wrapped, row.ref.encode()))

    def made_here(self, refs: c.Collection[str | None]) -> list[dict[str, t.Any]]:
        """Return the rows of those of *refs* whom no database knows yet."""
        return self._made_here.rows(refs)

    def adopt(self, row: dict[str, t.Any]) -> tuple[Subject, Subject]:
        """Bring a person who was made without the database to it.

        :returns: Who they were, and who they are: somebody else when the database knew them.
        """
        local = Subject(
            row["ref"], self.keys.unwrap(row["key_id"], row["wrapped"], row["ref"].encode())
        )
        c = self.table.c
        name = DEPLOYMENT
        if row["identity"] is not None:
            name = b"user\0" + local.open(row["identity"], "identity")
        with self._database.connect() as connection:
            mine = connection.execute(self.table.select().where(c.ref == local.ref)).first()
        if mine is not None:
            return local, local
        found = self._row(name)
        if found is None:
            try:
                self._add(row)
                return local, local
            except sa.exc.IntegrityError:
                found = self._row(name)
                if found is None:
                    raise
        return local, self._opened(found)

    def _made(self, name: bytes, user_id: str | None) -> Subject:
        subject, values = self._made_here.get(name) or self._new(name, user_id)
        try:
            self._add(values)
        except sa.exc.IntegrityError:
            # Another worker was faster.
            row = self._row(name)
            if row is None:
                raise
            return self._opened(row)
        return subject

    def _add(self, row: dict[str, t.Any]) -> None:
        added = self.table.insert()
        self._database.transact(lambda connection: connection.execute(added, row))

    def _new(self, name: bytes, user_id: str | None) -> tuple[Subject, dict[str, t.Any]]:
        # Random, not ordered by time: the name says nothing, not even who came first.
        subject = Subject(str(uuid.uuid4()), secrets.token_bytes(32))
        key_id = self.keys.ids()[0]
        identity = None if user_id is None else subject.seal(user_id.encode(), "identity")
        values = {
            "ref": subject.ref,
            "blind": self.blinds(name)[0],
            "key_id": key_id,
            "wrapped": self.keys.wrap(key_id, subject.key, subject.ref.encode()),
            "identity": identity,
            "created_us": time.time_ns() // 1000,
        }
        return subject, values

    def destroy(self, connection: sa.Connection, ref: str) -> None:
        """Empty a person's row: key, identity and the index that finds it; the place stays."""
        values = dict.fromkeys(("blind", "key_id", "wrapped", "identity"))
        mine = sa.and_(self.table.c.ref == ref, self.table.c.wrapped.is_not(None))
        gone = {**values, "erased_us": time.time_ns() // 1000}
        connection.execute(self.table.update().where(mine).values(gone))

    def destroy_unused(self, connection: sa.Connection, used: t.Any, before_us: int) -> int:
        """Empty the rows of persons made before a moment whom none of *used* names.

        Where the keys have a database of their own they stay: the two cannot be joined.

        :returns: How many there were.
        """
        if self.separate:
            return 0
        c = self.table.c
        unused = sa.and_(c.identity.is_not(None), c.created_us < before_us, c.ref.not_in(used))
        values = dict.fromkeys(("blind", "key_id", "wrapped", "identity"))
        gone = {**values, "erased_us": time.time_ns() // 1000}
        return connection.execute(self.table.update().where(unused).values(gone)).rowcount

    def destroy_apart(self, ref: str) -> None:
        """Empty a person's row where the keys have a database of their own."""
        self._database.transact(lambda connection: self.destroy(connection, ref))

    def rewrap(self, *, chunk: int = 500) -> int:
        """Wrap every key under the newest master key; no row of the trail is touched."""
        done, after = 0, ""
        while found := self._database.transact(functools.partial(self._rewrap, after, chunk)):
            done, after = done + len(found), found[-1]
        return done

    def _rewrap(self, after: str, chunk: int, connection: sa.Connection) -> list[str]:
        c, newest = self.table.c, self.keys.ids()[0]
        query = self.table.select().where(c.key_id.is_not(None), c.key_id != newest, c.ref > after)
        found = connection.execute(query.order_by(c.ref).limit(chunk)).all()
        for row in found:
            subject = self._opened(row)
            name = DEPLOYMENT
            if row.identity is not None:
                name = b"user\0" + subject.open(row.identity, "identity")
            values = {
                "key_id": newest,
                "wrapped": self.keys.wrap(newest, subject.key, row.ref.encode()),
                "blind": self.blinds(name)[0],
            }
            # An erasure in the meantime stays one.
            mine = sa.and_(c.ref == row.ref, c.wrapped.is_not(None))
            connection.execute(self.table.update().where(mine).values(values))
        return [row.ref for row in found]
