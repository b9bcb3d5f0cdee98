"""Prices, tokens and what they come to: exact decimals, no clock, no database."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import typing as t
from datetime import date
from decimal import Decimal
from decimal import InvalidOperation

CURRENCY = "USD"
NANO = Decimal(1_000_000_000)
#: Model names in ``AILYDIAN_PRICES`` that are none: any paid model, the local one.
ANY, LOCAL = "*", "onnx"
#: What holds until a deployment names prices: a flat sum for each query.
DEFAULTS: dict[str, list[dict[str, t.Any]]] = {
    ANY: [{"since": "2025-01-01", "query": "0.02"}],
    LOCAL: [{"since": "2025-01-01", "query": "0.0001"}],
}
#: Tokens that a chat format adds around one message, generously.
OVERHEAD_TOKENS = 64
MONTH_DAYS, YEAR_DAYS = 30, 365


@dataclasses.dataclass(frozen=True)
class Usage:
    """Tokens of one call; *cached_tokens* and *written_tokens* are not in *input_tokens*.

    :param estimated: The provider named none; the numbers are ours, and rather too high.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    written_tokens: int = 0
    estimated: bool = False


@dataclasses.dataclass(frozen=True)
class Price:
    """What a model costs: a flat sum for each query, or sums for each token.

    :param expected_output: Tokens that an answer is guessed to have before there is one.
    """

    since: date
    query: Decimal = Decimal(0)
    input: Decimal = Decimal(0)
    output: Decimal = Decimal(0)
    cached: Decimal = Decimal(0)
    written: Decimal = Decimal(0)
    expected_output: int = 300

    def of(self, usage: Usage) -> Decimal:
        """Return what a call with this usage cost."""
        return (
            self.query
            + self.input * usage.input_tokens
            + self.output * usage.output_tokens
            + self.cached * usage.cached_tokens
            + self.written * usage.written_tokens
        )

    def worst(self, sent: str, max_output: int) -> Decimal:
        """Return the most that one call can cost: a token is never less than a byte."""
        dearest = max(self.input, self.cached, self.written)
        return self.query + dearest * most_tokens(sent) + self.output * max_output

    def guess(self, sent: str, max_output: int) -> Decimal:
        """Return what one call is likely to cost."""
        tokens = len(sent.encode()) // 4 + 8
        return self.of(Usage(tokens, min(self.expected_output, max_output)))

    def to_json(self) -> dict[str, str]:
        """Return the price as a cost row keeps it."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {name: str(value) for name, value in values.items() if value}


def most_tokens(sent: str) -> int:
    """Return how many tokens *sent* can have at most."""
    return len(sent.encode()) + OVERHEAD_TOKENS


class PriceList:
    """The prices of a deployment, by model and day.

    :param given: ``{MODEL: [{"since": "2026-01-01", "input": "3", "output": "15",
        "per": 1000000}, …]}``; a single mapping stands for a list of one.
    :raises ValueError: naming what is wrong.
    """

    def __init__(self, given: c.Mapping[str, t.Any] | None = None) -> None:
        self._prices = {
            model: sorted(map(_price, _listed(entries)), key=lambda price: price.since)
            for model, entries in {**DEFAULTS, **(given or {})}.items()
        }

    def at(self, model: str, day: date) -> Price:
        """Return the price of a model on a day; the first one for days before it."""
        known = self._prices.get(model) or self._prices[ANY]
        return next((p for p in reversed(known) if p.since <= day), known[0])

    def models(self) -> list[str]:
        """Return the names that have prices."""
        return sorted(self._prices)


def _listed(entries: t.Any) -> list[t.Any]:
    found = [entries] if isinstance(entries, c.Mapping) else entries
    if not isinstance(found, list | tuple) or not found:
        raise ValueError("A model's prices are a mapping, or a list of them.")
    return list(found)


def _price(entry: t.Any) -> Price:
    names = {f.name for f in dataclasses.fields(Price)} | {"per"}
    if not isinstance(entry, c.Mapping) or not set(entry) <= names:
        raise ValueError(f"A price has the members {', '.join(sorted(names))}.")
    try:
        per = Decimal(str(entry.get("per", 1)))
        sums = {
            name: Decimal(str(entry[name])) / (1 if name == "query" else per)
            for name in ("query", "input", "output", "cached", "written")
            if name in entry
        }
        since = date.fromisoformat(str(entry.get("since", "2025-01-01")))
    except (InvalidOperation, ZeroDivisionError, ValueError) as error:
        raise ValueError("Prices are decimal numbers, `since` is a date.") from error
    if any(not value.is_finite() or value < 0 for value in sums.values()):
        raise ValueError("A price is not negative.")
    return Price(since, expected_output=int(entry.get("expected_output", 300)), **sums)


def to_nano(amount: Decimal) -> int:
    """Return *amount* in billionths, rounded up: what is spent is never too little."""
    return int((amount * NANO).to_integral_value(rounding="ROUND_CEILING"))


def from_nano(nano: int) -> Decimal:
    """Return billionths as dollars."""
    return Decimal(nano) / NANO


@dataclasses.dataclass(frozen=True)
class Projection:
    """What a day's traffic costs with and without the router."""

    queries: int
    onnx_share: Decimal
    all_paid: Decimal
    hybrid: Decimal

    def to_json(self) -> dict[str, t.Any]:
        """Return the projection with its year, of 365 days and of twelve months of 30."""
        saved = self.all_paid - self.hybrid
        share = saved / self.all_paid * 100 if self.all_paid else Decimal(0)
        return {
            "queries_per_day": self.queries,
            "onnx_share": float(self.onnx_share),
            "currency": CURRENCY,
            "all_paid_per_day": cents(self.all_paid),
            "hybrid_per_day": cents(self.hybrid),
            "saved_per_day": cents(saved),
            "saved_percent": float(round(share, 1)),
            "saved_per_month_of_30_days": cents(saved * MONTH_DAYS),
            "saved_per_year_of_365_days": cents(saved * YEAR_DAYS),
            "saved_per_12_months_of_30_days": cents(saved * MONTH_DAYS * 12),
        }


def cents(amount: Decimal) -> str:
    """Return *amount* with two decimals."""
    return str(amount.quantize(Decimal("0.01")))


def what_if(queries: int, onnx_share: Decimal, paid: Decimal, local: Decimal) -> Projection:
    """Return what *queries* a day cost when *onnx_share* of them stays local."""
    at_home = queries * onnx_share
    return Projection(
        queries, onnx_share, queries * paid, at_home * local + (queries - at_home) * paid
    )
