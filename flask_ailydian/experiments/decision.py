"""When a test may be called, and for whom. Pure: what is known, the plan and the age go in."""

from __future__ import annotations

import dataclasses
import typing as t

from .analysis import Analysis
from .analysis import Finding
from .plan import MARGINS
from .plan import METRICS
from .plan import Plan

Verdict = t.Literal["running", "winner", "inconclusive", "harm"]

#: Below this the split is not what was planned, and no number of the test may be acted on.
SRM_ALPHA = 0.01


@dataclasses.dataclass(frozen=True)
class Decision:
    """What may be concluded, for whom (arm 0 or 1), and why in sentences."""

    verdict: Verdict
    winner: int | None
    reasons: tuple[str, ...]


def decide(found: Analysis, plan: Plan, days: float, *, over: bool = False) -> Decision:
    """Return what may be concluded after *days*.

    :param over: Whether the test was stopped, so that nothing more is coming.
    """
    if found.srm_p <= SRM_ALPHA:
        return Decision(
            "inconclusive",
            None,
            (
                f"The arms did not get the shares that were planned (p = {found.srm_p:.2g}): "
                "something decides who is counted, so no number here may be acted on.",
            ),
        )
    harms = _harms(found, plan)
    if harms:
        return Decision("harm", 0, harms)
    missing = _missing(found, plan, days)
    primary = found.findings.get(plan.primary)
    if primary is None or primary.p > plan.alpha:
        missing.append(f"No difference in {plan.primary} has been shown.")
        winner = None
    else:
        winner = _better(primary)
        missing += _open_guardrails(found, plan, winner)
    if winner is not None and not missing:
        reason = f"The difference in {plan.primary} is shown, and every guardrail holds."
        return Decision("winner", winner, (reason,))
    ended = over or days > plan.max_days
    return Decision("inconclusive" if ended else "running", None, tuple(missing))


def _better(primary: Finding) -> int:
    higher = (primary.difference or 0) > 0
    return 1 if higher == METRICS[primary.metric] else 0


def _harms(found: Analysis, plan: Plan) -> tuple[str, ...]:
    """Return where arm B is worse for certain, by more than may be."""
    margins = {plan.primary: MARGINS[plan.primary], **plan.guardrails}
    return tuple(
        f"Arm B is worse in {name} by more than {margin:g}."
        for name, margin in margins.items()
        if name in found.findings and found.findings[name].worse(1)[0] > margin
    )


def _missing(found: Analysis, plan: Plan, days: float) -> list[str]:
    missing = []
    least = min(found.units)
    if least < plan.min_units:
        what = {"user": "users", "request": "requests"}[plan.unit]
        missing.append(f"An arm has {least} of the {plan.min_units} {what} it needs.")
    if days < plan.min_days:
        missing.append(f"{days:.1f} of {plan.min_days:g} days have passed.")
    return missing


def _open_guardrails(found: Analysis, plan: Plan, winner: int) -> list[str]:
    return [
        f"It is not excluded that the better arm is worse in {name} by more than {margin:g}."
        for name, margin in plan.guardrails.items()
        if name != plan.primary
        and _applies(found.findings.get(name))
        and not found.findings[name].worse(winner)[1] <= margin
    ]


def _applies(finding: Finding | None) -> bool:
    """Whether a metric was measured at all: local models have no cost."""
    return finding is not None and max(finding.n) > 0
