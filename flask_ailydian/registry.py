"""Which model answers: register, verify, activate, resolve."""

from __future__ import annotations

import dataclasses
import typing as t
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from .audit.ledger import Ledger
from .clock import now
from .engine import files
from .engine.probe import ModelReport
from .engine.probe import probe
from .engine.probe import ProbeLimits
from .engine.signature import TensorSpec
from .errors import BackendUnavailable
from .errors import Conflict
from .errors import ModelNotFound
from .errors import ModelRefused
from .errors import ValidationFailed
from .registration import Declared
from .registration import describe
from .settings import Settings
from .tables import Tables

STATUSES = ("active", "inactive", "testing")
STATUS_EVENTS = {"active": "activated", "inactive": "retired", "testing": "set_testing"}


@dataclasses.dataclass(frozen=True)
class ModelRecord:
    """One registered version of a model."""

    id: int
    name: str
    version: str
    type: str
    domain: str
    task: str
    status: str
    labels: tuple[str, ...]
    preprocessing: dict[str, t.Any] | None
    report: ModelReport
    sha256: str
    file_path: str
    file_bytes: int
    description: str | None
    accuracy: float | None
    created_at: datetime
    updated_at: datetime

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What the model takes."""
        return self.report.inputs


class Registry:
    """The models of one app: rows in the host's database, files in one folder."""

    def __init__(
        self, db: t.Any, tables: Tables, settings: Settings, folder: Path, audit: Ledger
    ) -> None:
        self._db = db
        self._audit = audit
        self._models: sa.Table = tables.Model.__table__
        self._settings = settings
        self.folder = folder
        self._digests: dict[str, tuple[tuple[int, ...], str]] = {}

    def resolve(self, name: str, version: str | None = None) -> ModelRecord:
        """Return the version that answers: the one asked for, the active, or the newest testing.

        :raises ModelNotFound: when there is none; an inactive version never answers.
        """
        c = self._models.c
        query = self._models.select().where(c.model_name == name)
        query = query.where(c.deployment_status.in_(("active", "testing")))
        if version is not None:
            query = query.where(c.model_version == version)
        # "active" sorts before "testing".
        query = query.order_by(c.deployment_status, c.created_at.desc(), c.id.desc()).limit(1)
        found = self._rows(query)
        if not found:
            asked = f"{name} {version}" if version else name
            raise ModelNotFound(f"No active or testing model answers to {asked!r}.")
        return found[0]

    def get(self, name: str, version: str) -> ModelRecord:
        """Return one version, whatever its status."""
        c = self._models.c
        found = self._rows(
            self._models.select().where(c.model_name == name, c.model_version == version)
        )
        if not found:
            raise ModelNotFound(f"There is no model {name!r} with version {version!r}.")
        return found[0]

    def versions(self, name: str | None = None) -> list[ModelRecord]:
        """Return every version, by name, newest first."""
        c = self._models.c
        query = self._models.select().order_by(c.model_name, c.created_at.desc(), c.id.desc())
        if name is not None:
            query = query.where(c.model_name == name)
        return self._rows(query)

    def servable(self) -> list[ModelRecord]:
        """Return the version that answers for each name that has one."""
        names = dict.fromkeys(r.name for r in self.versions() if r.status != "inactive")
        return [self.resolve(name) for name in names]

    def register(
        self,
        data: bytes,
        name: str,
        version: str,
        declared: Declared,
        *,
        activate: bool = False,
        actor: str | None = None,
    ) -> ModelRecord:
        """Try a model file in a process of its own, store it and add its row.

        :raises ModelRefused: when the file is no model that can be served.
        :raises Conflict: when the name has this version already.
        """
        declared.check(name, version)
        if len(data) > self._settings.max_model_bytes:
            limit = self._settings.max_model_bytes
            raise ModelRefused(f"The file is larger than the {limit} bytes that are accepted.")
        c = self._models.c
        taken = self._rows(
            self._models.select().where(c.model_name == name, c.model_version == version)
        )
        if taken:
            raise Conflict(f"{name} {version} exists already; a version is never replaced.")
        report = self._probe(data)
        values = describe(report, declared)
        digest = files.sha256_of(data)
        values |= {
            "model_name": name,
            "model_version": version,
            "model_type": "onnx",
            "file_path": files.store(data, self.folder, f"{digest}.onnx"),
            "file_sha256": digest,
            "file_bytes": len(data),
            "deployment_status": "testing",
            "created_at": now(),
            "updated_at": now(),
        }
        if activate:
            values["deployment_status"] = "active"

        def work(connection: sa.Connection) -> None:
            if activate:
                self._make_active(connection, name)
            connection.execute(self._models.insert(), values)

        detail = {"model": name, "version": version, "status": values["deployment_status"]}
        try:
            self._audit.note(
                "model_registered", actor=actor, detail=detail | {"sha256": digest}, work=work
            )
        except sa.exc.IntegrityError as error:
            raise Conflict(f"{name} {version} was registered by somebody else just now.") from error
        return self.get(name, version)

    def update(
        self,
        name: str,
        version: str,
        *,
        status: str | None = None,
        description: str | None = None,
        accuracy: float | None = None,
        actor: str | None = None,
    ) -> ModelRecord:
        """Set the status or the text of a version; activating tries the file once more."""
        record = self.get(name, version)
        values: dict[str, t.Any] = {"updated_at": now()}
        if description is not None:
            values["description"] = Declared(description=description).clean_description
        if accuracy is not None:
            values["accuracy"] = accuracy
        if status is not None:
            if status not in STATUSES:
                raise ValidationFailed(fields={"deployment_status": ["Unknown status."]})
            values["deployment_status"] = status
        if status == "active" and record.status != "active":
            self._probe(self.read(record))

        def work(connection: sa.Connection) -> None:
            if status == "active":
                self._make_active(connection, name)
            mine = self._models.c.id == record.id
            connection.execute(self._models.update().where(mine).values(values))

        kind = "model_changed" if status is None else f"model_{STATUS_EVENTS[status]}"
        detail = {"model": name, "version": version, "fields": ",".join(sorted(values))}
        try:
            self._audit.note(kind, actor=actor, detail=detail, domain=record.domain, work=work)
        except sa.exc.IntegrityError as error:
            raise Conflict(f"Another version of {name} was activated just now.") from error
        return self.get(name, version)

    def read(self, record: ModelRecord) -> bytes:
        """Return the bytes of the model file, exactly those whose digest was registered.

        :raises BackendUnavailable: when the file is gone or has changed.
        """
        try:
            data = files.read_model_file(
                files.resolve(self.folder, record.file_path),
                max_bytes=self._settings.max_model_bytes,
                root=self.folder,
            )
        except (ModelRefused, OSError) as error:
            raise BackendUnavailable(
                f"The file of {record.name} {record.version} cannot be read."
            ) from error
        if files.sha256_of(data) != record.sha256:
            raise BackendUnavailable(
                f"The file of {record.name} {record.version} is not the one that was registered."
            )
        return data

    def verify(self, record: ModelRecord) -> str | None:
        """Return what is wrong with a model's file in one sentence, or ``None``.

        A file that has not been touched since the last look is not read again.
        """
        try:
            stat = files.resolve(self.folder, record.file_path).lstat()
            mark = (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
            if self._digests.get(record.file_path) != (mark, record.sha256):
                self.read(record)
                self._digests[record.file_path] = (mark, record.sha256)
        except OSError:
            return f"The file of {record.name} {record.version} cannot be read."
        except (BackendUnavailable, ModelRefused) as error:
            return str(error)
        return None

    def _probe(self, data: bytes) -> ModelReport:
        seconds = self._settings.probe_seconds or 2 + len(data) / 25_000_000
        # Wall time is for machines that are busy with something else.
        limits = ProbeLimits(
            wall_seconds=10 + 3 * seconds,
            cpu_seconds=seconds,
            memory_bytes=self._settings.probe_memory_bytes,
        )
        return probe(data, limits=limits)

    def _make_active(self, connection: t.Any, name: str) -> None:
        c = self._models.c
        others = sa.and_(c.model_name == name, c.deployment_status == "active")
        values = {"deployment_status": "inactive", "updated_at": now()}
        connection.execute(self._models.update().where(others).values(values))

    def _rows(self, query: t.Any) -> list[ModelRecord]:
        with self._db.engine.connect() as connection:
            return [_record(row) for row in connection.execute(query)]


def _record(row: t.Any) -> ModelRecord:
    return ModelRecord(
        id=row.id,
        name=row.model_name,
        version=row.model_version,
        type=row.model_type,
        domain=row.domain,
        task=row.task,
        status=row.deployment_status,
        labels=tuple(row.labels or ()),
        preprocessing=row.preprocessing,
        report=ModelReport.from_json(row.report),
        sha256=row.file_sha256,
        file_path=row.file_path,
        file_bytes=row.file_bytes,
        description=row.description,
        accuracy=row.accuracy,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
