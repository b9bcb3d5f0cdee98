"""The router, the backends behind it and their money."""

from __future__ import annotations

import dataclasses
import typing as t

from .declaring import option
from .declaring import Table


@dataclasses.dataclass(frozen=True)
class RoutingSettings:
    """The router, the backends behind it and their money."""

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
    router_learn: str = option(
        "off",
        "Queries that were left to chance: `off` keeps none, `sealed` keeps them under the "
        "person's key for `router train --from logs`.",
        pattern="off|sealed",
    )
    router_learn_days: int = option(90, "How long such a query is kept.", low=1, high=3650)
    local_models: dict[str, t.Any] = option(
        Table(), "The text model that answers a domain: `{DOMAIN: MODEL}`; else one is found."
    )
    local_prompt: str = option(
        "Answer briefly, in the language of the question. Say so when you do not know the answer; "
        "invent nothing.",
        "What a model that writes is told before every query, where it names nothing of its own.",
    )
    local_max_tokens: int = option(
        256,
        "Longest answer that a model writes, in tokens, where it names no limit of its own.",
        low=1,
        high=2**16,
    )
    third_party: str = option(
        "", "The paid backend: `openai`, `anthropic`, or one that the host registered."
    )
    third_party_key: str = option("", "Its API key; without one it is absent.", secret=True)
    third_party_model: str = option("", "The model that it is asked for.")
    third_party_url: str = option("", "Its base URL, for compatible servers and gateways.")
    third_party_fallbacks: dict[str, t.Any] = option(
        Table(),
        'Paid backends that are asked after it, in order: `{NAME: {"backend", "model", '
        '"key", "url"}}`, where `backend` is the name unless it is said.',
        secret=True,
    )
    third_party_prompt: str = option("", "What it is told before every query.")
    third_party_max_tokens: int = option(
        1024, "Longest answer that is paid for, in tokens.", low=1, high=2**20
    )
    third_party_attempts: int = option(3, "Attempts at one query.", low=1, high=10)
    third_party_silence_seconds: float = option(
        8.0, "After so long without a byte an attempt is given up.", low=0.05, high=600
    )
    hedge_seconds: float = option(
        0.0,
        "After so long without a byte of the paid backend the next one is asked as well, or the "
        "local model where there is none; 0: never.",
        low=0,
        high=600,
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
        Table(), "Dated prices by model; default: 0.02 USD a paid query."
    )
    trust_user_id: bool = option(
        False,
        "Tell callers whom the gate does not know apart by their `user_id`, for budgets and "
        "cached answers: where a service of yours, and nobody else, can send requests.",
    )
    budget_day: float = option(0.0, "Most USD a UTC day; 0: no limit.", low=0, high=1e9)
    budget_user: float = option(
        0.0,
        "Most USD a caller and UTC day; 0: no limit. All whom the gate does not know share one "
        "such budget.",
        low=0,
        high=1e9,
    )
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
