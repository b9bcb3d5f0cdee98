"""Keyed fingerprints: equal inputs can be told, inputs cannot be guessed."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from pathlib import Path

from .keys import create_once

KEY_FILE = "fingerprint.key"


class Fingerprint:
    """HMAC-SHA-256 under the deployment's key.

    A plain hash of a short text or an identity number is reversed by trying them all.

    :param key: The configured key; empty makes one in *folder* on first use.
    """

    def __init__(self, key: str, folder: Path) -> None:
        self._key = key.encode() if key else None
        self._from_file = not key
        self._file = folder / KEY_FILE

    def of(self, kind: str, data: bytes) -> str:
        """Return the fingerprint of *data* as 64 hexadecimal digits."""
        made = hmac.new(self._root(), kind.encode() + b"\0", hashlib.sha256)
        # Apart, so that a large input is not copied only to be hashed.
        made.update(data)
        return made.hexdigest()

    def derive(self, purpose: str) -> bytes:
        """Return a key of 32 bytes for another purpose; it tells nothing about this one."""
        return bytes.fromhex(self.of("derived key", purpose.encode()))

    @property
    def key_id(self) -> str:
        """Name the key, without telling it."""
        return "k" + self.of("key id", b"")[:12]

    @property
    def configured(self) -> bool:
        """Whether the key comes from the settings and not from a file."""
        return not self._from_file

    def rotate(self) -> None:
        """Put a new key in place of the file's; nobody can recompute the fingerprints before.

        :raises RuntimeError: when the key comes from the settings.
        """
        if self.configured:
            raise RuntimeError("The key comes from the settings: change AILYDIAN_HASH_KEY.")
        self._file.unlink(missing_ok=True)
        self._key = None
        self._root()

    def _root(self) -> bytes:
        if self._key is None:
            create_once(self._file, secrets.token_urlsafe(32))
            self._key = self._file.read_bytes()
        return self._key
