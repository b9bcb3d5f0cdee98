"""Who calls, read off the ``Authorization`` header."""

from __future__ import annotations

from flask import request

from ..access import Gate
from ..api_keys import ApiKey
from ..api_keys import ApiKeys
from ..api_keys import PREFIX
from ..api_keys import WrongKey


class Bearer:
    """Finds the key of the current request.

    :param gate: The host's: only where it knows callers can it know tokens that are not ours.
    """

    def __init__(self, keys: ApiKeys, gate: Gate) -> None:
        self._keys = keys
        self._gate = gate

    def __call__(self) -> ApiKey | None:
        """Return whom the request's key stands for; ``None`` where it brings none of ours.

        :raises WrongKey: for one that is not good.
        """
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        token = token.strip()
        if token.startswith(PREFIX):
            return self._keys.find(token)
        if self._gate.asks_who:
            return None
        raise WrongKey("not_ours")
