"""Keys for machines that call: made, shown once, looked up by digest, revoked."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import hashlib
import hmac
import logging
import re
import secrets
import threading
import time
from datetime import datetime
from datetime import timedelta

import sqlalchemy as sa

from .access import Action
from .access import ACTIONS
from .audit.ledger import Ledger
from .clock import new_id
from .clock import now
from .engine.forks import restart_in_children
from .errors import BackendUnavailable
from .errors import Conflict
from .errors import NotFound
from .errors import Unauthenticated
from .errors import ValidationFailed
from .fresh import Fresh

log = logging.getLogger("flask_ailydian.api_keys")

PREFIX = "ail_"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
#: A process looks for revoked keys as often, and writes down as often that one was used.
FRESH_SECONDS, USED_SECONDS = 0.5, 60.0


class WrongKey(Unauthenticated):
    """A key that is not known, not any more, or not ours; *why* is for the record alone."""

    title = "The API key is not good."

    def __init__(self, why: str) -> None:
        super().__init__("It is unknown, revoked or past its end.")
        self.why = why


@dataclasses.dataclass(frozen=True)
class ApiKey:
    """What is known of a key: everything but the key."""

    id: str
    name: str
    prefix: str
    digest: str = dataclasses.field(repr=False)
    actions: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None

    @property
    def actor(self) -> str:
        """Its name, as the records have it."""
        return f"key:{self.name}"

    @property
    def state(self) -> str:
        """``good``, ``revoked`` or ``expired``."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now() else "good"


class ApiKeys:
    """The keys of one app.

    A key is 256 random bits: a fast hash of it is as safe as a slow one, and may be looked up.
    """

    def __init__(self, table: sa.Table, ledger: Ledger) -> None:
        self._database = ledger.database
        self._table = table
        self._ledger = ledger
        # Rows are never deleted and never taken back: the two counts tell whether one changed.
        self._known: Fresh[dict[str, ApiKey]] = Fresh(
            self._counts, self._by_digest, lambda _: None, seconds=FRESH_SECONDS
        )
        self.start_anew()
        restart_in_children(self)

    def start_anew(self) -> None:
        """Forget which keys were used."""
        self._used: dict[str, float] = {}
        self._writer: threading.Thread | None = None

    def create(
        self,
        name: str,
        actions: c.Iterable[Action] = ("infer",),
        *,
        expires_in: timedelta | None = None,
        by: str | None = None,
    ) -> str:
        """Make a key and return it, this once.

        :param name: Stands in the records as ``key:NAME``, and is never given out again.
        :raises Conflict: when the name was given out before.
        :raises ValidationFailed: with the messages by field.
        """
        wanted = set(actions)
        wrong = {}
        if not NAME.fullmatch(name):
            wrong["name"] = ["Letters, digits, '.', '_' and '-', at most 64, no other start."]
        if not wanted or not wanted <= set(ACTIONS):
            wrong["actions"] = [f"Some of {', '.join(ACTIONS)}."]
        if expires_in is not None and expires_in <= timedelta():
            wrong["expires_in"] = ["Some time from now."]
        if wrong:
            raise ValidationFailed(fields=wrong)
        key = PREFIX + secrets.token_urlsafe(32)
        moment = now()
        may = ",".join(a for a in ACTIONS if a in wanted)
        row = {
            "id": new_id(),
            "name": name,
            "digest": _digest(key),
            "prefix": key[:8],
            "actions": may,
            "created_at": moment,
            "expires_at": None if expires_in is None else moment + expires_in,
        }

        def insert(connection: sa.Connection) -> None:
            connection.execute(self._table.insert(), row)

        taken = f"There is, or was, a key {name!r}; names are given once."
        if any(known.name == name for known in self.all()):
            raise Conflict(taken)
        try:
            self._ledger.note(
                "key_created",
                actor=by,
                detail={"key": name, "prefix": key[:8], "actions": may},
                work=insert,
            )
        except sa.exc.IntegrityError as error:
            raise Conflict(taken) from error
        self._known.expire()
        return key

    def revoke(self, name: str, *, by: str | None = None) -> ApiKey:
        """Let a key in no more: at once here, within a second in every other process.

        :raises NotFound: when there is no key of this name.
        :raises Conflict: when it is revoked already.
        """
        found = next((key for key in self.all() if key.name == name), None)
        if found is None:
            raise NotFound(f"There is no key {name!r}.")
        mine = sa.and_(self._table.c.name == name, self._table.c.revoked_at.is_(None))
        moment = now()

        def work(connection: sa.Connection) -> None:
            done = connection.execute(self._table.update().where(mine).values(revoked_at=moment))
            if not done.rowcount:
                raise Conflict(f"The key {name!r} is revoked already.")

        detail = {"key": name, "prefix": found.prefix}
        self._ledger.note("key_revoked", actor=by, detail=detail, work=work)
        self._known.expire()
        return dataclasses.replace(found, revoked_at=moment)

    def all(self) -> list[ApiKey]:
        """Return every key that was ever made, in the order of their making."""
        with self._database.connect() as connection:
            rows = connection.execute(self._table.select().order_by(self._table.c.created_at))
            return [
                ApiKey(**row._asdict() | {"actions": tuple(row.actions.split(","))}) for row in rows
            ]

    def find(self, key: str) -> ApiKey:
        """Return whom a key stands for.

        :raises WrongKey: for one that is unknown, revoked or past its end.
        :raises BackendUnavailable: when the keys cannot be read.
        """
        digest = _digest(key)
        try:
            found = self._known.get().get(digest)
        except (sa.exc.SQLAlchemyError, OSError) as error:
            raise BackendUnavailable("The keys cannot be read.") from error
        if found is None or not hmac.compare_digest(found.digest, digest):
            raise WrongKey("unknown")
        if (state := found.state) != "good":
            raise WrongKey(state)
        self._note_use(found)
        return found

    def _counts(self) -> tuple[int, int]:
        counted = sa.select(sa.func.count(), sa.func.count(self._table.c.revoked_at))
        with self._database.connect() as connection:
            all_of_them, revoked = connection.execute(counted.select_from(self._table)).one()
        return all_of_them, revoked

    def _by_digest(self) -> dict[str, ApiKey]:
        return {key.digest: key for key in self.all()}

    def _note_use(self, key: ApiKey) -> None:
        """Write down that a key was used: at most once a minute, and not while it waits."""
        moment = time.monotonic()
        if moment - self._used.get(key.id, -USED_SECONDS) < USED_SECONDS:
            return
        if self._writer is not None and self._writer.is_alive():
            return
        self._used[key.id] = moment
        self._writer = threading.Thread(
            target=self._write_use, args=(key.id,), name="ailydian-key-used", daemon=True
        )
        self._writer.start()

    def _write_use(self, id: str) -> None:
        table, moment = self._table, now()
        before = moment - timedelta(seconds=USED_SECONDS)
        due = sa.or_(table.c.last_used_at.is_(None), table.c.last_used_at < before)
        try:
            used = table.update().where(table.c.id == id, due).values(last_used_at=moment)
            self._database.transact(lambda connection: connection.execute(used))
        except (sa.exc.SQLAlchemyError, OSError) as error:
            log.warning("the last use of a key was not written down: %s", type(error).__name__)

    def settle(self, timeout: float = 10.0) -> None:
        """Wait until what is being written down is written, for tests and commands that end."""
        if self._writer is not None:
            self._writer.join(timeout)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
