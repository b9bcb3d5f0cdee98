"""What a test is to find out, agreed before it begins; stored with the test, never changed."""

from __future__ import annotations

import dataclasses
import typing as t

from ..errors import ValidationFailed

UNITS = ("user", "request")
MODES = ("split", "shadow")

#: Metrics, and whether more of them is better.
METRICS = {
    "latency": False,
    "failures": False,
    "cost": False,
    "accuracy": True,
    "satisfaction": True,
}
#: How much worse the winner may be: relative for latency and cost, absolute for shares and stars.
MARGINS = {"latency": 0.10, "failures": 0.01, "cost": 0.10, "accuracy": 0.02, "satisfaction": 0.2}
RELATIVE = frozenset({"latency", "cost"})


@dataclasses.dataclass(frozen=True)
class Plan:
    """The rules of one test.

    :param coverage: Which share of the subject's traffic meets the test at all.
    :param namespace: Name, low and high: tests in disjoint parts of one namespace share nobody.
    :param guardrails: By metric, how much worse the winner may be than the other arm.
    :param min_units: How many units each arm needs before anything is decided.
    :param max_days: After so long without a decision the test is inconclusive.
    :param promote: Whether a winner takes over the traffic by itself.
    """

    unit: str = "request"
    mode: str = "split"
    coverage: float = 1.0
    namespace: tuple[str, float, float] | None = None
    primary: str = "latency"
    guardrails: dict[str, float] = dataclasses.field(
        default_factory=lambda: {name: MARGINS[name] for name in ("latency", "failures", "cost")}
    )
    min_units: int = 100
    min_days: float = 7.0
    max_days: float = 28.0
    alpha: float = 0.05
    promote: bool = False

    def check(self) -> None:
        """Raise :class:`ValidationFailed` naming every field that makes no sense."""
        wrong: dict[str, list[str]] = {}
        if self.unit not in UNITS:
            wrong["unit"] = [f"One of {', '.join(UNITS)}."]
        if self.mode not in MODES:
            wrong["mode"] = [f"One of {', '.join(MODES)}."]
        if self.primary not in METRICS:
            wrong["primary_metric"] = [f"One of {', '.join(METRICS)}."]
        if not 0 < self.coverage <= 1:
            wrong["coverage"] = ["Above 0, at most 1."]
        if self.namespace is not None:
            name, low, high = self.namespace
            if not name or not 0 <= low < high <= 1:
                wrong["namespace"] = ["A name, and a part from low to high within 0 and 1."]
        unknown = sorted(self.guardrails.keys() - METRICS.keys())
        if unknown or any(margin < 0 for margin in self.guardrails.values()):
            wrong["guardrails"] = [f"Margins of at least 0 for {', '.join(METRICS)}."]
        if self.min_units < 2:
            wrong["min_units"] = ["At least 2."]
        if not 0 <= self.min_days <= self.max_days:
            wrong["min_days"] = ["From 0 to max_days."]
        if wrong:
            raise ValidationFailed(fields=wrong)

    def to_json(self) -> dict[str, t.Any]:
        """Return the plan as it is stored."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, t.Any] | None) -> Plan:
        """Return a stored plan."""
        given = dict(value or {})
        if given.get("namespace") is not None:
            given["namespace"] = tuple(given["namespace"])
        return cls(**given)
