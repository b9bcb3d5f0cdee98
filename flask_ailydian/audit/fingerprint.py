"""Keyed fingerprints: equal inputs can be told, inputs cannot be guessed."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

KEY_FILE = "fingerprint.key"


class Fingerprint:
    """HMAC-SHA-256 under the deployment's key.

    A plain hash of a short text or an identity number is reversed by trying them all.

    :param key: The configured key; empty makes one in *folder* on first use.
    """

    def __init__(self, key: str, folder: Path) -> None:
        self._key = key.encode() if key else None
        self._file = folder / KEY_FILE

    def of(self, kind: str, data: bytes) -> str:
        """Return the fingerprint of *data* as 64 hexadecimal digits."""
        if self._key is None:
            self._key = self._own_key()
        return hmac.new(self._key, kind.encode() + b"\0" + data, hashlib.sha256).hexdigest()

    def derive(self, purpose: str) -> bytes:
        """Return a key of 32 bytes for another purpose; it tells nothing about this one."""
        return bytes.fromhex(self.of("derived key", purpose.encode()))

    def _own_key(self) -> bytes:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        draft = self._file.with_name(f".{KEY_FILE}.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32))
            file.flush()
            os.fsync(file.fileno())
        try:
            # Of workers that start together one wins, and all read the winner's.
            os.link(draft, self._file)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        return self._file.read_bytes()
