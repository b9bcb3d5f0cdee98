"""Which model answers: register, verify, activate, resolve."""

from __future__ import annotations

import collections.abc as c
import typing as t
from pathlib import Path

import sqlalchemy as sa

from .answering import Answering
from .answering import read_records
from .audit.ledger import Ledger
from .clock import now
from .engine import archives
from .engine import files
from .errors import Conflict
from .errors import ModelNotFound
from .errors import ModelRefused
from .errors import ValidationFailed
from .options import ServingOptions
from .records import ModelRecord
from .registration import Declared
from .registration import describe
from .settings import Settings
from .storage import Storage
from .tables import Tables

STATUSES = ("active", "inactive", "testing")
STATUS_EVENTS = {"active": "activated", "inactive": "retired", "testing": "set_testing"}


class Registry:
    """The models of one app: rows in the host's database, files in one folder."""

    def __init__(self, tables: Tables, settings: Settings, folder: Path, audit: Ledger) -> None:
        self._audit = audit
        self._models: sa.Table = tables.Model.__table__
        self._settings = settings
        self.folder = folder
        self.storage = Storage(settings, folder)
        self._before_activation: list[c.Callable[[ModelRecord], None]] = []
        self._answering = Answering(audit.database, self._models)

    def on_change(self, listener: c.Callable[[c.Collection[str]], None]) -> None:
        """Call *listener* with the digests of all that may answer, when they have changed."""
        self._answering.listeners.append(listener)

    def before_activation(self, listener: c.Callable[[ModelRecord], None]) -> None:
        """Call *listener* with a version that is going to be active; it may refuse by raising."""
        self._before_activation.append(listener)

    def resolve(self, name: str, version: str | None = None) -> ModelRecord:
        """Return the version that answers: the one asked for, the active, or the newest testing.

        What another process changed counts within a quarter of a second.

        :raises ModelNotFound: when there is none; an inactive version never answers.
        """
        for record in self._answering.get().get(name, ()):
            if version is None or record.version == version:
                return record
        asked = f"{name} {version}" if version else name
        raise ModelNotFound(f"No active or testing model answers to {asked!r}.")

    def get(self, name: str, version: str) -> ModelRecord:
        """Return one version, whatever its status."""
        columns = self._models.c
        found = self._rows(
            self._models.select().where(
                columns.model_name == name, columns.model_version == version
            )
        )
        if not found:
            raise ModelNotFound(f"There is no model {name!r} with version {version!r}.")
        return found[0]

    def versions(self, name: str | None = None) -> list[ModelRecord]:
        """Return every version, by name, newest first."""
        columns = self._models.c
        query = self._models.select().order_by(
            columns.model_name, columns.created_at.desc(), columns.id.desc()
        )
        if name is not None:
            query = query.where(columns.model_name == name)
        return self._rows(query)

    def answering(self, name: str) -> list[ModelRecord]:
        """Return the versions of a name that may answer; the first does unless one is named.

        :raises ModelNotFound: when there is none.
        """
        self.resolve(name)
        return list(self._answering.get().get(name, ()))

    def servable(self) -> list[ModelRecord]:
        """Return the version that answers for each name that has one."""
        return [records[0] for records in self._answering.get().values()]

    def register(
        self,
        data: bytes,
        name: str,
        version: str,
        declared: Declared,
        *,
        kind: str | None = None,
        activate: bool = False,
        proof: dict[str, t.Any] | None = None,
        actor: str | None = None,
    ) -> ModelRecord:
        """Try a model file in a process of its own, store it and add its row.

        :param kind: Where the data does not say it: ``remote``, for a model on another server.
        :param proof: How the file compares with the version it was made from.
        :raises ModelRefused: when the file is no model that can be served.
        :raises Conflict: when the name has this version already.
        """
        declared.check(name, version)
        if len(data) > self._settings.max_model_bytes:
            limit = self._settings.max_model_bytes
            raise ModelRefused(f"The file is larger than the {limit} bytes that are accepted.")
        self.refuse_taken(name, version)
        kind = kind or archives.kind_of(data)
        report = self.storage.probe(data, kind, declared=declared)
        values = describe(report, declared)
        digest = files.sha256_of(data)
        if (more := declared.tokenizer) is not None:
            self.storage.store(more, "tokenizer", files.sha256_of(more))
        values |= {
            "model_name": name,
            "model_version": version,
            "model_type": kind,
            "file_path": self.storage.store(data, kind, digest),
            "file_sha256": digest,
            "file_bytes": len(data),
            "deployment_status": "testing",
            "created_at": now(),
            "updated_at": now(),
            "proof": proof,
        }

        def work(connection: sa.Connection) -> None:
            connection.execute(self._models.insert(), values)

        detail = {"model": name, "version": version, "status": values["deployment_status"]}
        try:
            self._audit.note(
                "model_registered", actor=actor, detail=detail | {"sha256": digest}, work=work
            )
        except sa.exc.IntegrityError as error:
            raise Conflict(f"{name} {version} was registered by somebody else just now.") from error
        self._answering.expire()
        if activate:
            self._activate(self.get(name, version), {}, actor)
        return self.get(name, version)

    def refuse_taken(self, name: str, version: str) -> None:
        """Raise :class:`Conflict` when the name has this version already."""
        c = self._models.c
        taken = self._models.select().where(c.model_name == name, c.model_version == version)
        if self._rows(taken):
            raise Conflict(f"{name} {version} exists already; a version is never replaced.")

    def update(
        self,
        name: str,
        version: str,
        *,
        status: str | None = None,
        description: str | None = None,
        accuracy: float | None = None,
        serving: dict[str, t.Any] | None = None,
        actor: str | None = None,
    ) -> ModelRecord:
        """Set the status, the text or the serving of a version.

        Activating tries the file once more, and loads it here, before it answers.
        """
        record = self.get(name, version)
        values: dict[str, t.Any] = {"updated_at": now()}
        if description is not None:
            values["description"] = Declared(description=description).clean_description
        if accuracy is not None:
            values["accuracy"] = accuracy
        if serving is not None:
            options = ServingOptions.from_json(record.serving.to_json() | serving)
            options.check(record.report)
            values["serving"] = options.to_json()
        if status is not None and status not in STATUSES:
            raise ValidationFailed(fields={"deployment_status": ["Unknown status."]})
        if status == "active" and record.status != "active":
            self.storage.probe(self.read(record), record.type, inputs=record.inputs)
            self._activate(record, values, actor)
            return self.get(name, version)
        if status is not None:
            values["deployment_status"] = status

        def work(connection: sa.Connection) -> None:
            mine = self._models.c.id == record.id
            connection.execute(self._models.update().where(mine).values(values))

        kind = "model_changed" if status is None else f"model_{STATUS_EVENTS[status]}"
        detail = {"model": name, "version": version, "fields": ",".join(sorted(values))}
        self._audit.note(kind, actor=actor, detail=detail, domain=record.domain, work=work)
        self._answering.expire()
        return self.get(name, version)

    def _activate(self, record: ModelRecord, values: dict[str, t.Any], actor: str | None) -> None:
        for listener in self._before_activation:
            listener(record)
        columns = self._models.c
        values = values | {"deployment_status": "active", "updated_at": now()}
        others = sa.and_(columns.model_name == record.name, columns.deployment_status == "active")
        retired = {"deployment_status": "inactive", "updated_at": now()}

        def work(connection: sa.Connection) -> None:
            connection.execute(self._models.update().where(others).values(retired))
            mine = columns.id == record.id
            connection.execute(self._models.update().where(mine).values(values))

        detail = {"model": record.name, "version": record.version, "sha256": record.sha256}
        try:
            self._audit.note(
                "model_activated", actor=actor, detail=detail, domain=record.domain, work=work
            )
        except sa.exc.IntegrityError as error:
            raise Conflict(f"Another version of {record.name} was activated just now.") from error
        self._answering.expire()

    def read(self, record: ModelRecord) -> bytes:
        """Return what is to be opened, exactly what was registered.

        :raises BackendUnavailable: when it is gone or has changed.
        """
        return self.storage.read(record)

    def read_tokenizer(self, record: ModelRecord) -> bytes:
        """Return the bytes of a model's tokeniser, exactly those that were registered."""
        return self.storage.read_tokenizer(record)

    def verify(self, record: ModelRecord) -> str | None:
        """Return what is wrong with a model's file in one sentence, or ``None``."""
        return self.storage.verify(record)

    def _rows(self, query: t.Any) -> list[ModelRecord]:
        return read_records(self._audit.database, query)
