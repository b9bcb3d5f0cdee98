"""Every ``AILYDIAN_*`` key as data: its name, type, default and meaning."""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
import typing as t

PREFIX = "AILYDIAN_"


class Table(dict[str, t.Any]):
    """A mapping that may stand as a default: dataclasses refuse one without a hash."""

    __hash__ = object.__hash__  # type: ignore[assignment]


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

    # The router, the backends behind it and their money.
    router_profile: str = option(
        "tr-v1",
        "How queries are scored: `tr-v1`, `document-2025`, `words` or `learned:MODEL`.",
        pattern=r"tr-v1|document-2025|words|learned:[A-Za-z0-9][A-Za-z0-9._-]{0,63}",
    )
    router_languages: tuple[str, ...] = option(("tr", "en"), "Word lists in use, of those shipped.")
    router_lexicon: dict[str, t.Any] = option(
        Table(), "Words of yours by language: `medical`, `legal`, `complex`, `not`, `suffixes`."
    )
    router_points: dict[str, t.Any] = option(
        Table(), "Other points for `medical`, `legal`, `complex`, `question`."
    )
    router_simple_below: float = option(
        30.0, "Scores below this are simple.", low=-1000, high=100_000
    )
    router_medium_below: float = option(
        60.0, "Scores below this are medium; the rest is complex.", low=-1000, high=100_000
    )
    router_split: float = option(
        0.5, "Share of the medium queries that the paid backend answers.", low=0, high=1
    )
    router_in_house: tuple[str, ...] = option((), "Domains whose text is never sent out.")
    router_min_confidence: float = option(
        0.0,
        "Local answers below this are escalated, where the model names no threshold of its own.",
        low=0,
        high=1,
    )
    local_models: dict[str, t.Any] = option(
        Table(), "The text model that answers a domain: `{DOMAIN: MODEL}`; else one is found."
    )
    third_party: str = option(
        "", "The paid backend: `openai`, `anthropic`, or one that the host registered."
    )
    third_party_key: str = option("", "Its API key; without one it is absent.", secret=True)
    third_party_model: str = option("", "The model that it is asked for.")
    third_party_url: str = option("", "Its base URL, for compatible servers and gateways.")
    third_party_prompt: str = option("", "What it is told before every query.")
    third_party_max_tokens: int = option(
        1024, "Longest answer that is paid for, in tokens.", low=1, high=2**20
    )
    third_party_attempts: int = option(3, "Attempts at one query.", low=1, high=10)
    third_party_silence_seconds: float = option(
        8.0, "After so long without a byte an attempt is given up.", low=0.05, high=600
    )
    redact: bool = option(
        False, "Replace identity numbers, IBANs, phones, e-mails and names before a text leaves."
    )
    breaker_failures: int = option(
        5, "Failures in a row after which a backend is left alone.", low=1, high=1000
    )
    breaker_seconds: float = option(
        30.0, "How long it is left alone before one query tries it.", low=0.05, high=86_400
    )
    breaker_shared: bool = option(
        False, "Share the breakers between workers and machines, through the database."
    )
    prices: dict[str, t.Any] = option(
        Table(), "Dated prices by model, see the guide; default: 0.02 USD a paid query."
    )
    budget_day: float = option(0.0, "Most USD a UTC day; 0: no limit.", low=0, high=1e9)
    budget_user: float = option(0.0, "Most USD a user and UTC day; 0: no limit.", low=0, high=1e9)
    budget_domains: dict[str, t.Any] = option(
        Table(), "Most USD a domain and UTC day: `{DOMAIN: USD}`."
    )
    budget_exhausted: str = option(
        "local",
        "What then: `local` answers with the local model, `refuse` with 429.",
        pattern="local|refuse",
    )
    cache_domains: tuple[str, ...] = option((), "Domains whose paid answers may be repeated.")
    cache_seconds: float = option(3600.0, "How long an answer may be repeated.", low=1, high=1e7)
    cache_across_users: bool = option(
        False, "Whether one user may get an answer that another user paid for."
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
    elif kind == dict[str, t.Any]:
        right = isinstance(value, dict) and all(isinstance(key, str) for key in value)
        wanted = "a mapping with strings as keys"
        value = Table(value) if right else value
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
