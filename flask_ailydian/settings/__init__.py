"""Every ``AILYDIAN_*`` key as data: its name, type, default and meaning."""

from __future__ import annotations

import dataclasses
import difflib
import os
import typing as t

from .audit import AuditSettings
from .core import CoreSettings
from .declaring import checked
from .engine import EngineSettings
from .engine import PROVIDERS as PROVIDERS
from .jobs import JobSettings
from .metrics import MetricsSettings
from .remote import RemoteSettings
from .routing import RoutingSettings

PREFIX = "AILYDIAN_"


@dataclasses.dataclass(frozen=True)
class Settings(
    RemoteSettings,
    JobSettings,
    RoutingSettings,
    MetricsSettings,
    AuditSettings,
    EngineSettings,
    CoreSettings,
):
    """What the extension reads from ``app.config``, once, in ``init_app``."""

    @classmethod
    def from_config(cls, config: t.Mapping[str, t.Any]) -> Settings:
        """Read and check the keys; raise ``RuntimeError`` naming the key and the remedy."""
        fields = {PREFIX + f.name.upper(): f for f in dataclasses.fields(cls)}
        given = {key: value for key, value in config.items() if key.startswith(PREFIX)}
        for key in sorted(given.keys() - fields.keys()):
            near = difflib.get_close_matches(key, fields, n=1)
            hint = f" Did you mean {near[0]}?" if near else " `flask ailydian config` lists them."
            raise RuntimeError(f"Unknown configuration key {key}.{hint}")
        hints = t.get_type_hints(cls)
        return cls(
            **{
                fields[key].name: checked(key, value, hints[fields[key].name], fields[key])
                for key, value in given.items()
            }
        )

    @property
    def body_limit(self) -> int:
        """Bytes a body may have: base64 takes a third more, line breaks and members some."""
        return self.max_body_bytes or self.max_image_bytes * 7 // 5 + 2**20


@dataclasses.dataclass(frozen=True)
class Described:
    """One setting as ``flask ailydian config`` shows it."""

    key: str
    value: t.Any
    default: t.Any
    origin: str
    meaning: str


def describe(settings: Settings, config: t.Mapping[str, t.Any]) -> list[Described]:
    """List every setting with its origin; secrets are masked."""
    rows = []
    for field in dataclasses.fields(settings):
        key = PREFIX + field.name.upper()
        value = getattr(settings, field.name)
        origin = "default"
        if key in config:
            origin = "environment" if f"FLASK_{key}" in os.environ else "app.config"
        if field.metadata["secret"]:
            value = "(set)" if value else "(not set)"
        rows.append(Described(key, value, field.default, origin, field.metadata["help"]))
    return rows
