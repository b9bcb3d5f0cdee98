"""How other servers are called, as far as that is a setting."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class RemoteOptions:
    """How other servers are called.

    :param token: Sent as ``Authorization: Bearer``; empty for none.
    :param ca_file: Whose certificates are trusted; empty for the system's.
    :param cert_file: A certificate of one's own, with *key_file*; empty for none.
    :param connect_seconds: For a connection, beside the request's own deadline.
    :param failures: In a row, after which an endpoint is left alone.
    :param eject_seconds: How long it is.
    :param hang_seconds: A call that outlives its deadline says something of the endpoint, and
        not of the caller, when it had so long.
    :param max_bytes: Of an answer.
    :param max_elements: Of an answer's tensors in JSON.
    """

    token: str = dataclasses.field(default="", repr=False)
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    connect_seconds: float = 2.0
    failures: int = 3
    eject_seconds: float = 5.0
    hang_seconds: float = 15.0
    max_bytes: int = 256 * 2**20
    max_elements: int = 20_000_000
