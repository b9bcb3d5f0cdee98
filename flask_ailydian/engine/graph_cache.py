"""Optimised graphs on disk: opened in a moment, with weights that sessions and workers share.

Optimising a graph and laying its weights out for this processor takes longer than all the rest
of loading it. The result is kept beside the models, sealed with a key of the deployment, and
mapped into memory instead of being copied.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import logging
import os
import platform
import shutil
import stat
import tempfile
import time
import typing as t
from pathlib import Path

from . import runtime

log = logging.getLogger("flask_ailydian.engine")

#: Below this size of a model file there is nothing to gain.
MIN_BYTES = 4 * 2**20
#: Graphs that nobody opened for so long are of models or runtimes that are gone.
UNUSED_SECONDS = 30 * 24 * 3600
SEAL_FILE = "seal"
FILES = (runtime.GRAPH_FILE, runtime.WEIGHTS_FILE)


class GraphCache:
    """The saved graphs of one deployment on one kind of processor.

    :param folder: Where they are; only this user may look into it.
    :param key: Returns the secret that seals them: a graph somebody else wrote is not opened.
    """

    def __init__(self, folder: Path, key: t.Callable[[], bytes]) -> None:
        self._folder = folder
        self._key = key

    def open(self, data: bytes, digest: str) -> str | None:
        """Return the path of the saved graph of a model, saving it first if need be.

        :param data: The model file, whose digest is *digest*.
        :returns: ``None`` where a saved graph is no gain or cannot be had; load *data* then.
        """
        if len(data) < MIN_BYTES or os.name != "posix":
            return None
        try:
            place = self._folder / f"{digest[:32]}-{_platform()}"
            if not self._is_whole(place, digest):
                self._save(data, digest, place)
                if not self._is_whole(place, digest):
                    return None
            os.utime(place)
        # A full or read-only disk, or a graph that cannot be saved, only costs the gain.
        except Exception as error:
            log.info("the optimised graph could not be kept: %s", type(error).__name__)
            return None
        return str(place / runtime.GRAPH_FILE)

    def _save(self, data: bytes, digest: str, place: Path) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._drop_unused()
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=self._folder))
        try:
            runtime.open_session(data, threads=1, save_to=draft)
            # Every weight may be small enough to stay in the graph itself.
            (draft / runtime.WEIGHTS_FILE).touch()
            for name in FILES:
                (draft / name).chmod(0o400)
            (draft / SEAL_FILE).write_text(self._seal(draft, digest))
            shutil.rmtree(place, ignore_errors=True)
            # Of workers that save at once one wins; all have the same graph.
            with contextlib.suppress(OSError):
                draft.rename(place)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _is_whole(self, place: Path, digest: str) -> bool:
        try:
            found = place.lstat()
            ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
            if not ours or found.st_mode & 0o077:
                return False
            if any(not stat.S_ISREG((place / name).lstat().st_mode) for name in FILES):
                return False
            return hmac.compare_digest((place / SEAL_FILE).read_text(), self._seal(place, digest))
        except (FileNotFoundError, UnicodeDecodeError):
            return False

    def _seal(self, place: Path, digest: str) -> str:
        parts = [digest, _platform()]
        for name in FILES:
            with (place / name).open("rb") as file:
                parts.append(hashlib.file_digest(file, "sha256").hexdigest())
        return hmac.new(self._key(), "\n".join(parts).encode(), hashlib.sha256).hexdigest()

    def _drop_unused(self) -> None:
        for place in self._folder.iterdir():
            if time.time() - place.lstat().st_mtime > UNUSED_SECONDS:
                shutil.rmtree(place, ignore_errors=True)


def _platform() -> str:
    """Name what an optimised graph depends on: the runtime, and what the processor can do."""
    described = [runtime.load().__version__, platform.machine()]
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        described += [next((line for line in file if line.startswith(("flags", "Features"))), "")]
    return hashlib.sha256("\n".join(described).encode()).hexdigest()[:16]
