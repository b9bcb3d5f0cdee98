"""How models on other servers are called."""

from __future__ import annotations

import dataclasses

from .declaring import option


@dataclasses.dataclass(frozen=True)
class RemoteSettings:
    """How models on other servers are called."""

    remote_token: str = option(
        "", "Sent to the servers of remote models as `Authorization: Bearer`.", secret=True
    )
    remote_ca_file: str = option(
        "", "Certificates that are trusted when a remote server is called; empty: the system's."
    )
    remote_cert_file: str = option(
        "", "Certificate to show a remote server that asks for one, as PEM."
    )
    remote_key_file: str = option("", "Its key, where that is not in the same file.")
    remote_connect_seconds: float = option(
        2.0,
        "For a connection to a remote server, beside the request's own deadline.",
        low=0.01,
        high=60.0,
    )
    remote_calls: int = option(
        64, "Calls of remote models that go on at once in a process.", low=1, high=10_000
    )
    remote_failures: int = option(
        3, "Failures in a row after which an endpoint is left alone.", low=1, high=1000
    )
    remote_eject_seconds: float = option(
        5.0, "How long it is left alone before one call tries it.", low=0.1, high=3600.0
    )
    remote_max_bytes: int = option(
        256 * 2**20, "Largest answer of a remote server.", low=1024, high=2**31
    )
