"""Every ``AILYDIAN_*`` key as data: its name, type, default and meaning."""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
import typing as t

PREFIX = "AILYDIAN_"


def option(
    default: t.Any,
    meaning: str,
    *,
    low: float | None = None,
    high: float | None = None,
    pattern: str | None = None,
    secret: bool = False,
) -> t.Any:
    """Declare one setting with its default, meaning and range."""
    metadata = {"help": meaning, "low": low, "high": high, "pattern": pattern, "secret": secret}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the extension reads from ``app.config``, once, in ``init_app``."""

    url_prefix: str = option(
        "/api/pytorch", "Where the routes are mounted.", pattern=r"(/[A-Za-z0-9._~-]+)+"
    )
    model_dir: str = option(
        "", "Folder of the model files; empty: `ailydian/models` in the instance folder."
    )
    max_image_bytes: int = option(
        10 * 2**20, "Largest image accepted, in decoded bytes.", low=1, high=2**31
    )
    max_image_pixels: int = option(
        40_000_000, "Most pixels an image may have, by its header.", low=1, high=2**31
    )
    max_body_bytes: int = option(
        0,
        "Largest request body of `POST /inference`; 0: what an image of the largest size needs.",
        low=0,
        high=2**31,
    )
    max_model_bytes: int = option(512 * 2**20, "Largest model file accepted.", low=1, high=2**31)
    max_text_chars: int = option(4000, "Longest text accepted, in characters.", low=1, high=2**20)
    max_tensor_elements: int = option(
        4_000_000, "Most numbers that one request may hold.", low=1, high=2**31
    )
    timeout_seconds: float = option(
        30.0, "After so long an answer is given up.", low=0.01, high=3600
    )
    threads: int = option(
        0, "Threads that one model run may use; 0: one per core.", low=0, high=1024
    )
    probe_seconds: float = option(
        0.0,
        "Processor seconds that trying a new model may take; 0: 2, and 1 more for each 25 MB.",
        low=0,
        high=3600,
    )
    probe_memory_bytes: int = option(
        4 * 2**30, "How much memory a model may take while it is tried.", low=2**26, high=2**44
    )
    hash_key: str = option(
        "",
        "Key of the fingerprints of inputs; empty: one is made in the instance folder.",
        pattern=r"|.{16,}",
        secret=True,
    )
    trusted_origins: tuple[str, ...] = option(
        (), "Other origins whose pages may send state-changing requests with cookies."
    )
    # audit: what is recorded, how durably, under which keys, and for how long.
    audit_failure: str = option(
        "refuse",
        "When the database does not take a row: `refuse` the answer, or `spool` the row to a file.",
        pattern=r"refuse|spool",
    )
    audit_timeout_seconds: float = option(
        5.0, "How long a row may wait to be on disk.", low=0.05, high=600
    )
    audit_queue: int = option(
        4096, "How many rows of one process may wait at once.", low=1, high=2**20
    )
    audit_durability: str = option(
        "refuse",
        "On a PostgreSQL server without `fsync` or `full_page_writes`: `refuse` or `warn`.",
        pattern=r"refuse|warn",
    )
    audit_result: tuple[str, ...] = option(
        ("*=full",), "What rows keep of results, as `domain=off`, `=summary` or `=full`."
    )
    audit_identity: str = option(
        "plain",
        "What `user_id` in the rows holds: the host's id (`plain`) or a random name (`sealed`).",
        pattern=r"plain|sealed",
    )
    purpose: tuple[str, ...] = option(
        (), "The purpose that rows stand under, as `domain=purpose`; `*` is any other domain."
    )
    retention_days: tuple[str, ...] = option(
        (), "How long rows are kept, as `domain=days`; never under 183, six years for medical."
    )
    master_keys: tuple[str, ...] = option(
        (),
        "Master keys as `ID:BASE64` of 32 bytes, newest first; none: one is made.",
        secret=True,
    )
    subject_keys_url: str = option(
        "", "Database URL of the persons' keys; empty: the host's own database.", secret=True
    )
    checkpoint_seconds: float = option(
        1.0, "How often the trail is signed while it grows; 0: never.", low=0, high=86_400
    )
    checkpoint_sinks: tuple[str, ...] = option(
        ("file",),
        "Where signed checkpoints go: `stdout`, `file`, `file:PATH`, `syslog`, `https://…`.",
    )
    user_table: str = option(
        "",
        "The host's user table and its key, as `user.id`: the next `revision` lets the database "
        "unlink rows when a user is deleted there.",
        pattern=r"|[A-Za-z_][A-Za-z0-9_]*\.[A-Za-z_][A-Za-z0-9_]*",
    )
    spool_rows: int = option(
        100_000, "How many rows the spool takes before answers are refused.", low=1, high=10**8
    )

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
                fields[key].name: _checked(key, value, hints[fields[key].name], fields[key])
                for key, value in given.items()
            }
        )

    @property
    def body_limit(self) -> int:
        """Bytes a body may have: base64 takes a third more, line breaks and members some."""
        return self.max_body_bytes or self.max_image_bytes * 7 // 5 + 2**20


def _checked(key: str, value: t.Any, kind: t.Any, field: dataclasses.Field[t.Any]) -> t.Any:
    rules = field.metadata
    if kind == tuple[str, ...]:
        value = tuple(value) if isinstance(value, list | tuple) else value
        right = isinstance(value, tuple) and all(isinstance(item, str) for item in value)
        wanted = "a list of strings"
    elif kind is float:
        right = isinstance(value, int | float) and not isinstance(value, bool)
        wanted = "a number"
    elif kind is bool:
        right, wanted = isinstance(value, bool), "true or false"
    else:
        right = isinstance(value, kind) and not isinstance(value, bool)
        wanted = "a whole number" if kind is int else "a string"
        if kind is str and isinstance(value, os.PathLike):
            value, right = os.fspath(value), True
    if not right:
        raise RuntimeError(f"{key} must be {wanted}, not {type(value).__name__}.")
    low, high = rules["low"], rules["high"]
    if low is not None and not low <= value <= high:
        raise RuntimeError(f"{key} must be between {low} and {high}.")
    if rules["pattern"] and not re.fullmatch(rules["pattern"], value):
        if rules["secret"]:
            raise RuntimeError(f"{key} must have at least 16 characters.")
        raise RuntimeError(f"{key} must match {rules['pattern']}, and {value!r} does not.")
    return float(value) if kind is float else value


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
