"""Statements signed with Ed25519, whose keys live where the master keys do."""

from __future__ import annotations

import collections.abc as c
import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization import PublicFormat

from .keys import KeyProvider


class Signer:
    """Signs with the newest master key, and checks what any known key signed.

    :param trusted: Further public keys in hexadecimal, of master keys that are gone.
    """

    def __init__(self, keys: KeyProvider, trusted: c.Iterable[str] = ()) -> None:
        self.keys = keys
        self._trusted = [bytes.fromhex(text) for text in trusted]
        self._of: tuple[str, Ed25519PrivateKey] | None = None

    def sign(self, body: str) -> tuple[str, bytes]:
        """Return the id of the key and the signature over *body*."""
        newest = self.keys.ids()[0]
        if self._of is None or self._of[0] != newest:
            self._of = (newest, self._private(newest))
        private = self._of[1]
        return key_id(_raw(private.public_key())), private.sign(body.encode())

    def signed(self, body: str, id: str, signature: bytes) -> bool:
        """Whether a key that is known here signed *body*."""
        for public in self.public_keys():
            if key_id(public) == id:
                try:
                    Ed25519PublicKey.from_public_bytes(public).verify(signature, body.encode())
                except InvalidSignature:
                    return False
                return True
        return False

    def public_keys(self) -> list[bytes]:
        """Return the public keys, the one in use first."""
        own = [_raw(self._private(id).public_key()) for id in self.keys.ids()]
        return [*own, *self._trusted]

    def _private(self, id: str) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.keys.secret(id, "checkpoint signature"))


def key_id(public: bytes) -> str:
    """Return the short name of a public key."""
    return hashlib.sha256(public).hexdigest()[:16]


def _raw(public: Ed25519PublicKey) -> bytes:
    return public.public_bytes(Encoding.Raw, PublicFormat.Raw)
