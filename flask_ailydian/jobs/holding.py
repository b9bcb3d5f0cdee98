"""Where the inputs of jobs lie until they are answered: sealed, one file each."""

from __future__ import annotations

import contextlib
import shutil
import time
import typing as t
from pathlib import Path

from ..engine import files
from ..errors import InvalidInput
from ..errors import ModelRefused
from ..errors import Overloaded

#: Seconds after which a folder that no job needs is left over from a killed process.
ORPHANED = 3600.0


class Holding:
    """The folder of all inputs that wait; it knows sealed bytes only."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, job_id: str, position: int, sealed: bytes) -> None:
        """Keep one input.

        :raises Overloaded: when the disk has no room for it.
        """
        try:
            files.store(sealed, self._root, f"{job_id}/{position}")
        except OSError as error:
            raise Overloaded("There is no room for the inputs of a job now.") from error

    def get(self, job_id: str, position: int) -> bytes:
        """Return one input.

        :raises InvalidInput: when it is gone.
        """
        try:
            return (self._root / job_id / str(position)).read_bytes()
        except OSError as error:
            raise InvalidInput("The input is not kept any more.") from error

    def drop(self, job_id: str, positions: t.Iterable[int]) -> None:
        """Remove inputs that are not needed any more, and with the last of them the folder."""
        folder = self._root / job_id
        for position in positions:
            (folder / str(position)).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            folder.rmdir()

    def drop_job(self, job_id: str) -> None:
        """Remove whatever is left of a job."""
        shutil.rmtree(self._root / job_id, ignore_errors=True)

    def sweep(self, known: t.Collection[str]) -> None:
        """Remove what killed processes left of jobs that need no inputs.

        :param known: The jobs whose inputs are still needed.
        """
        if not self._root.exists():
            return
        for folder in self._root.iterdir():
            if folder.name not in known and time.time() - folder.stat().st_mtime > ORPHANED:
                shutil.rmtree(folder, ignore_errors=True)


def read_stored(root: Path, relative: str, *, max_bytes: int) -> bytes:
    """Return a file of a folder that the host lets manifests name.

    :raises InvalidInput: for one that cannot be read, in a sentence that names no path.
    """
    try:
        path = files.resolve(root, relative)
        return files.read_model_file(path, max_bytes=max_bytes, root=root)
    except (ModelRefused, OSError) as error:
        raise InvalidInput("The file of the manifest cannot be read from its storage.") from error
