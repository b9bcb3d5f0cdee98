"""A registered version, as everybody but the database sees it."""

from __future__ import annotations

import dataclasses
import functools
import typing as t
from datetime import datetime

from .engine import decoder
from .engine.probe import ModelReport
from .engine.remote.address import Endpoint
from .engine.remote.address import RemoteModel
from .engine.signature import Array
from .engine.signature import TensorSpec
from .engine.signature import zeros
from .inputs.preprocessing import ImagePreprocessing
from .options import ServingOptions
from .recipes import WRITES


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
    serving: ServingOptions
    proof: dict[str, t.Any] | None
    created_at: datetime
    updated_at: datetime

    @functools.cached_property
    def memory_bytes(self) -> int:
        """What the loaded model takes, as measured when it was tried."""
        return self.report.loaded_bytes or self.file_bytes * 3 // 2 + 2**23

    @functools.cached_property
    def text_bytes(self) -> int:
        """What each text takes that a model writes, at its longest; 0 for other models."""
        if self.task != WRITES:
            return 0
        context = (self.preprocessing or {}).get("context", decoder.CONTEXT)
        return decoder.CACHES * decoder.cache_bytes(self.inputs, context)

    @functools.cached_property
    def recipe(self) -> ImagePreprocessing:
        """How the model wants its images."""
        return ImagePreprocessing.from_json(self.preprocessing or {})

    @functools.cached_property
    def remote(self) -> RemoteModel | None:
        """Where another server has the model, if one has."""
        source = self.report.remote
        return None if source is None else RemoteModel.from_bytes(source.encode())

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The servers that have the model; none for one that is here."""
        return () if self.remote is None else self.remote.endpoints

    @property
    def fallback(self) -> str | None:
        """The version of the same name that answers while a remote model does not."""
        return None if self.remote is None else self.remote.fallback

    @property
    def tokenizer(self) -> str | None:
        """The digest of the tokeniser's file, where the model takes tokens."""
        return (self.preprocessing or {}).get("tokenizer")

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What the model takes."""
        return self.report.inputs


def trial_arrays(record: ModelRecord) -> dict[str, Array]:
    """Return an empty input, or the first token for a model that writes."""
    if decoder.writes(record.report.inputs, record.report.outputs):
        return decoder.beginning(record.inputs, [0])
    return zeros(record.inputs, (record.preprocessing or {}).get("size", ()))


def record_of(row: t.Any) -> ModelRecord:
    """Return what a row of ``pytorch_models`` says."""
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
        serving=ServingOptions.from_json(row.serving),
        proof=row.proof,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
