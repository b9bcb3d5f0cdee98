"""Experiments and metrics."""

from __future__ import annotations

import dataclasses

from .declaring import option


@dataclasses.dataclass(frozen=True)
class MetricsSettings:
    """Experiments and metrics."""

    shadow_queue: int = option(
        8, "Most inputs that wait for a shadow's answer; more are dropped.", low=1, high=10_000
    )
    shadow_daily_usd: float = option(
        1.0, "What the shadows' answers of one UTC day may cost.", low=0, high=1e6
    )
    metrics_open: bool = option(
        True, "Whether `GET /metrics` is open; false: the host's gate is asked for `read`."
    )
    drift_reference_days: int = option(
        14, "Days after a version's first answer that drift is measured against.", low=1, high=365
    )
    capacity_per_day: int = option(
        0,
        "Requests a day that a load test has shown to be possible; 0: not measured.",
        low=0,
        high=2**53,
    )
