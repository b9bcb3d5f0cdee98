"""What is kept of a registered model besides its row: a file, or where another server is."""

from __future__ import annotations

import typing as t
from pathlib import Path

from .engine import files
from .engine.probe import ModelReport
from .engine.probe import probe
from .engine.probe import probe_torch
from .engine.probe import ProbeLimits
from .engine.remote import discovery
from .engine.remote import trial
from .engine.remote.address import parse
from .engine.remote.address import RemoteModel
from .engine.remote.options import RemoteOptions
from .engine.signature import TensorSpec
from .errors import BackendUnavailable
from .errors import ModelRefused
from .records import ModelRecord
from .registration import Declared
from .settings import Settings

SUFFIXES = {
    "onnx": ".onnx",
    "torchscript": ".pt",
    "pytorch": ".pt2",
    "tokenizer": ".tokenizer.json",
}
#: What the column of the path holds.
MAX_PATH = 255


class Storage:
    """The files of one app's models in one folder; a remote model is kept in its row alone."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings = settings
        self.folder = folder
        self.remote = remote_options(settings)
        self._digests: dict[str, tuple[tuple[int, ...], str]] = {}

    def discover(
        self,
        urls: t.Sequence[str],
        *,
        inputs: t.Sequence[TensorSpec] = (),
        outputs: t.Sequence[TensorSpec] = (),
        fallback: str | None = None,
    ) -> RemoteModel:
        """Ask other servers for a model and return it as it can be registered.

        :param urls: ``oip://HOST:PORT/MODEL[/versions/N]``, an operator's and never a request's.
        :param inputs: In place of what the servers say, with *outputs*.
        :raises AilydianError: when they do not have it, or cannot be reached.
        """
        return discovery.discover(
            *parse(urls), self.remote, inputs=inputs, outputs=outputs, fallback=fallback
        )

    def store(self, data: bytes, kind: str, digest: str) -> str:
        """Keep what was registered; return what the row has for its path."""
        if kind == "remote":
            return RemoteModel.from_bytes(data).url[:MAX_PATH]
        return files.store(data, self.folder, f"{digest}{SUFFIXES[kind]}")

    def read(self, record: ModelRecord) -> bytes:
        """Return the bytes of the model file, exactly those whose digest was registered.

        :raises BackendUnavailable: when the file is gone or has changed.
        """
        if record.type == "remote":
            of = f"{record.name} {record.version}"
            return files.pinned((record.report.remote or "").encode(), record.sha256, of=of)
        return self._read(record, record.file_path, record.sha256)

    def read_tokenizer(self, record: ModelRecord) -> bytes:
        """Return the bytes of a model's tokeniser, exactly those that were registered.

        :raises BackendUnavailable: when the file is gone or has changed.
        """
        digest = record.tokenizer or ""
        return self._read(record, f"{digest}{SUFFIXES['tokenizer']}", digest)

    def _read(self, record: ModelRecord, path: str, digest: str) -> bytes:
        most, of = self._settings.max_model_bytes, f"{record.name} {record.version}"
        return files.read_pinned(self.folder, path, digest, max_bytes=most, of=of)

    def verify(self, record: ModelRecord) -> str | None:
        """Return what is wrong with a model's file in one sentence, or ``None``.

        A file that has not been touched since the last look is not read again.
        """
        try:
            if record.type == "remote":
                self.read(record)
                return None
            stat = files.resolve(self.folder, record.file_path).lstat()
            mark = (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
            if self._digests.get(record.file_path) != (mark, record.sha256):
                self.read(record)
                if record.tokenizer:
                    self.read_tokenizer(record)
                self._digests[record.file_path] = (mark, record.sha256)
        except OSError:
            return f"The file of {record.name} {record.version} cannot be read."
        except (BackendUnavailable, ModelRefused) as error:
            return str(error)
        return None

    def probe(
        self,
        data: bytes,
        kind: str,
        *,
        declared: Declared | None = None,
        inputs: t.Sequence[TensorSpec] = (),
    ) -> ModelReport:
        """Try a model: a file in a process of its own, a remote one where it is.

        :raises ModelRefused: when it cannot be served.
        """
        size = declared.image_size if declared else None
        if kind == "remote":
            return trial.report(data, self.remote, size=size)
        limits = self.limits(len(data))
        if kind == "onnx":
            return probe(data, limits=limits)
        channels = declared.image_channels if declared else 3
        return probe_torch(data, kind, limits=limits, size=size, channels=channels, inputs=inputs)

    def limits(self, size: int) -> ProbeLimits:
        """Return what trying a file of *size* bytes may take."""
        seconds = self._settings.probe_seconds or 2 + size / 25_000_000
        # Wall time is for machines that are busy with something else.
        return ProbeLimits(
            wall_seconds=10 + 3 * seconds,
            cpu_seconds=seconds,
            memory_bytes=self._settings.probe_memory_bytes,
        )


def remote_options(settings: Settings) -> RemoteOptions:
    """Return how other servers are called."""
    return RemoteOptions(
        token=settings.remote_token,
        ca_file=settings.remote_ca_file,
        cert_file=settings.remote_cert_file,
        key_file=settings.remote_key_file,
        connect_seconds=settings.remote_connect_seconds,
        failures=settings.remote_failures,
        eject_seconds=settings.remote_eject_seconds,
        hang_seconds=settings.timeout_seconds / 2,
        max_bytes=settings.remote_max_bytes,
    )
