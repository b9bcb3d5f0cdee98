"""Model files: read once, as they are, from one folder and nowhere else."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from pathlib import Path
from pathlib import PurePosixPath

from ..errors import BackendUnavailable
from ..errors import ModelRefused

# Absent on Windows, where the link count below is the guard.
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def sha256_of(data: bytes) -> str:
    """Return the SHA-256 of *data* as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def resolve(root: Path, relative: str) -> Path:
    """Return the path of a stored name, which never leaves *root*.

    :raises ModelRefused: for an absolute path, ``..`` and anything else that might.
    """
    name = PurePosixPath(relative)
    if not relative or "\0" in relative or "\\" in relative or name.is_absolute():
        raise ModelRefused("The stored path of the model is not one of the model folder.")
    if not name.parts or ".." in name.parts:
        raise ModelRefused("The stored path of the model leaves the model folder.")
    return root.joinpath(*name.parts)


def read_model_file(path: Path, *, max_bytes: int, root: Path | None = None) -> bytes:
    """Read a regular file with one link, at most *max_bytes* of it.

    :param root: No folder between it and the file may be a symbolic link.
    :raises ModelRefused: in one sentence that names no path.
    """
    if root is not None:
        for folder in path.relative_to(root).parents:
            if (root / folder).is_symlink() and folder != Path("."):
                raise ModelRefused("The model file lies behind a symbolic link.")
    try:
        descriptor = os.open(path, os.O_RDONLY | _NOFOLLOW)
    except OSError as error:
        raise ModelRefused("The model file cannot be opened, or is a symbolic link.") from error
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ModelRefused("The model file is not a regular file.")
        # A second name may belong to somebody else, who could change or read what is ours.
        if found.st_nlink != 1:
            raise ModelRefused("The model file has more than one hard link.")
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise ModelRefused(f"The file is larger than the {max_bytes} bytes that are accepted.")
    return data


def read_pinned(root: Path, relative: str, digest: str, *, max_bytes: int, of: str) -> bytes:
    """Return the bytes of a stored file, exactly those whose digest is known.

    :param of: Whose file it is, for people.
    :raises BackendUnavailable: when the file is gone or has changed.
    """
    try:
        data = read_model_file(resolve(root, relative), max_bytes=max_bytes, root=root)
    except (ModelRefused, OSError) as error:
        raise BackendUnavailable(f"The file of {of} cannot be read.") from error
    return pinned(data, digest, of=of)


def pinned(data: bytes, digest: str, *, of: str) -> bytes:
    """Return *data* if its digest is the one that is known.

    :raises BackendUnavailable: when it is another.
    """
    if sha256_of(data) != digest:
        raise BackendUnavailable(f"The file of {of} is not the one that was registered.")
    return data


def store(data: bytes, root: Path, name: str) -> str:
    """Write *data* under *root*, whole or not at all, and return its relative path."""
    target = resolve(root, name)
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | _NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, target)
        _sync_folder(target.parent)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    return name


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
