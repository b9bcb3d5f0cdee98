"""Keys that live outside the audited database, and what is sealed with them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import secrets
import typing as t
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_FILE = "master.keys"
_NONCE = 12
_ENTRY = re.compile(r"([A-Za-z0-9._-]{1,32}):([A-Za-z0-9+/]{43}=)")


class KeyUnavailable(Exception):
    """A key is not at hand, or does not open what it should."""


class KeyProvider(t.Protocol):
    """Where keys come from; a key management service implements these four methods."""

    def ids(self) -> t.Sequence[str]:
        """Return the ids of the keys at hand, the one that new things are sealed with first."""

    def wrap(self, key_id: str, key: bytes, context: bytes) -> bytes:
        """Return *key* encrypted under a key that stays here, bound to *context*."""

    def unwrap(self, key_id: str, wrapped: bytes, context: bytes) -> bytes:
        """Return what :meth:`wrap` was given; raise :class:`KeyUnavailable` when that fails."""

    def secret(self, key_id: str, purpose: str) -> bytes:
        """Return 32 bytes that depend on the key and on *purpose*, the same every time."""


class MasterKeys:
    """Master keys from the settings, or from a file that is made on first use.

    :param entries: ``ID:BASE64`` of 32 bytes each, newest first; none: read *file*.
    """

    def __init__(self, entries: t.Sequence[str], file: Path) -> None:
        self._file = file
        self._keys = _parsed(entries) if entries else None
        self.from_file = self._keys is None

    @property
    def made(self) -> bool:
        """Whether there are keys yet; asking makes none."""
        return self._keys is not None or self._file.exists()

    def ids(self) -> t.Sequence[str]:
        return list(self._loaded())

    def wrap(self, key_id: str, key: bytes, context: bytes) -> bytes:
        return seal(self.secret(key_id, "wrap"), key, context)

    def unwrap(self, key_id: str, wrapped: bytes, context: bytes) -> bytes:
        return open_sealed(self.secret(key_id, "wrap"), wrapped, context)

    def secret(self, key_id: str, purpose: str) -> bytes:
        try:
            master = self._loaded()[key_id]
        except KeyError:
            raise KeyUnavailable(f"There is no master key {key_id!r}.") from None
        return derive(master, purpose)

    def rotate(self) -> str:
        """Put a new key on top of the file and return its id; the older ones stay."""
        if not self.from_file:
            raise KeyUnavailable(
                "The keys come from the settings: put a new one first in AILYDIAN_MASTER_KEYS."
            )
        lines = [new_entry(), *(f"{k}:{_text(v)}" for k, v in self._loaded().items())]
        draft = _written(self._file, "\n".join(lines))
        os.replace(draft, self._file)
        self._keys = None
        return self.ids()[0]

    def _loaded(self) -> dict[str, bytes]:
        if self._keys is None:
            if not self._file.exists():
                create_once(self._file, new_entry())
            self._keys = _parsed(self._file.read_text("ascii").split())
        return self._keys


def _parsed(entries: t.Iterable[str]) -> dict[str, bytes]:
    matches = [_ENTRY.fullmatch(entry) for entry in entries]
    if not matches or None in matches:
        raise RuntimeError("AILYDIAN_MASTER_KEYS takes entries ID:BASE64 of 32 bytes each.")
    return {match[1]: base64.b64decode(match[2]) for match in matches if match}


def new_entry() -> str:
    """Return a new random master key as an entry of the file."""
    return f"k{secrets.token_hex(4)}:{_text(secrets.token_bytes(32))}"


def _text(key: bytes) -> str:
    return base64.b64encode(key).decode()


def create_once(file: Path, text: str) -> None:
    """Write *file* unless it exists; of processes that start together one wins."""
    draft = _written(file, text)
    try:
        os.link(draft, file)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _written(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    return draft


def derive(key: bytes, purpose: str) -> bytes:
    """Return the key for one purpose: HKDF-Expand (RFC 5869) of one block over a uniform key."""
    return hmac.new(key, b"ailydian " + purpose.encode() + b"\1", hashlib.sha256).digest()


def seal(key: bytes, plain: bytes, context: bytes) -> bytes:
    """Encrypt with AES-256-GCM; *context* must be the same when it is opened."""
    nonce = os.urandom(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, plain, context)


def open_sealed(key: bytes, sealed: bytes, context: bytes) -> bytes:
    """Return what was sealed, or raise :class:`KeyUnavailable`."""
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], context)
    except (InvalidTag, ValueError) as error:
        raise KeyUnavailable("What was sealed does not open with this key.") from error
