"""Where a remote model is: what an operator writes, and what of it is kept."""

from __future__ import annotations

import dataclasses
import json
import typing as t
import urllib.parse

from ...errors import ValidationFailed
from ..signature import TensorSpec

#: Whether TLS is spoken, by the scheme that an operator may write.
SCHEMES = {"oip": False, "http": False, "oips": True, "https": True}
PORTS = {False: 80, True: 443}
MAX_ENDPOINTS = 32


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """One server: its host and port, and the path below which it speaks the protocol."""

    host: str
    port: int
    tls: bool = False
    path: str = ""

    @property
    def authority(self) -> str:
        """Host and port as a request's ``Host`` has them, and as people know them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The endpoint as an operator may write it."""
        return f"{'oips' if self.tls else 'oip'}://{self.authority}{self.path}"

    @classmethod
    def parse(cls, url: str) -> Endpoint:
        """Return the endpoint that *url* names.

        :raises ValidationFailed: for anything that is none.
        """
        wrong = "oip://HOST:PORT or oips://HOST:PORT, and a path where there is one."
        try:
            parts = urllib.parse.urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ValidationFailed(fields={"remote": [wrong]}) from error
        plain = url.isascii() and url.isprintable() and " " not in url
        if parts.scheme not in SCHEMES or not parts.hostname or not plain:
            raise ValidationFailed(fields={"remote": [wrong]})
        if parts.username is not None or parts.query or parts.fragment:
            raise ValidationFailed(
                fields={"remote": ["No user, query or fragment: a token is a setting."]}
            )
        tls = SCHEMES[parts.scheme]
        return cls(parts.hostname, port or PORTS[tls], tls, parts.path.rstrip("/"))


@dataclasses.dataclass(frozen=True)
class RemoteModel:
    """A model on other servers, as it is pinned when it is registered.

    :param binary: Whether the servers take and give binary tensors.
    :param fallback: The version of the same name that answers while no endpoint does.
    """

    endpoints: tuple[Endpoint, ...]
    name: str
    version: str | None
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    binary: bool
    fallback: str | None = None

    @property
    def path(self) -> str:
        """Where the model is below an endpoint."""
        path = f"/v2/models/{urllib.parse.quote(self.name, safe='')}"
        if self.version is not None:
            path += f"/versions/{urllib.parse.quote(self.version, safe='')}"
        return path

    @property
    def url(self) -> str:
        """The first endpoint with the model, as an operator may write it."""
        return self.endpoints[0].url + self.path.removeprefix("/v2/models")

    def to_bytes(self) -> bytes:
        """Return what is pinned: the same bytes for the same model."""
        data = dataclasses.asdict(self)
        data["endpoints"] = [endpoint.url for endpoint in self.endpoints]
        data["inputs"] = [spec.to_json() for spec in self.inputs]
        data["outputs"] = [spec.to_json() for spec in self.outputs]
        return json.dumps(data, sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> RemoteModel:
        """Read what :meth:`to_bytes` wrote."""
        found = json.loads(data)
        found["endpoints"] = tuple(map(Endpoint.parse, found["endpoints"]))
        found["inputs"] = tuple(map(TensorSpec.from_json, found["inputs"]))
        found["outputs"] = tuple(map(TensorSpec.from_json, found["outputs"]))
        return cls(**found)


def parse(urls: t.Sequence[str]) -> tuple[tuple[Endpoint, ...], str, str | None]:
    """Return endpoints, model and version of ``oip://HOST:PORT/MODEL[/versions/N]`` URLs.

    The first names the model; others may be endpoints alone.

    :raises ValidationFailed: when they are none, or name different models.
    """
    if not 1 <= len(urls) <= MAX_ENDPOINTS:
        raise ValidationFailed(fields={"remote": [f"1 to {MAX_ENDPOINTS} URLs."]})
    endpoints, named = [], None
    for url in urls:
        whole = Endpoint.parse(url)
        parts = whole.path.split("/")[1:]
        version = None
        if len(parts) >= 3 and parts[-2] == "versions":
            version, parts = urllib.parse.unquote(parts[-1]), parts[:-2]
        if not parts and named is not None:
            endpoints.append(whole)
            continue
        if not parts or not parts[-1]:
            raise ValidationFailed(fields={"remote": ["oip://HOST:PORT/MODEL[/versions/N]."]})
        model = (urllib.parse.unquote(parts[-1]), version)
        # Below another server's own prefix, with or without the protocol's words.
        above = parts[:-1]
        if above[-2:] == ["v2", "models"]:
            above = above[:-2]
        endpoints.append(dataclasses.replace(whole, path="".join(f"/{part}" for part in above)))
        if named is not None and model != named:
            raise ValidationFailed(fields={"remote": ["All URLs name one model and version."]})
        named = model
    assert named is not None
    return tuple(dict.fromkeys(endpoints)), *named
