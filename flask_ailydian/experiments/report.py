"""A test as data for programs, and as sentences for a clinician. Pure."""

from __future__ import annotations

import math
import typing as t
from datetime import datetime

from .analysis import Analysis
from .analysis import Finding
from .decision import Decision
from .plan import METRICS
from .plan import RELATIVE
from .tests import Test

UNITS = {"latency": "ms", "failures": "%", "cost": "USD", "accuracy": "%", "satisfaction": "stars"}


def describe(test: Test) -> dict[str, t.Any]:
    """Return a test without its analysis."""
    return {
        "test_name": test.name,
        "subject": test.subject,
        "arms": {"a": test.arms[0], "b": test.arms[1]},
        "traffic_split_percent": test.split_percent,
        "status": test.status,
        "mode": test.plan.mode,
        "unit": test.plan.unit,
        "verdict": test.verdict or "running",
        "winner_model_id": test.winner_model_id,
        "plan": test.plan.to_json(),
        "phases": [
            {
                "number": phase.number,
                "traffic_split_percent": phase.split_percent,
                "coverage": phase.coverage,
                "started_at": _moment(phase.started_at),
                "ended_at": _moment(phase.ended_at),
            }
            for phase in test.phases
        ],
        "started_at": _moment(test.started_at),
        "stopped_at": _moment(test.stopped_at),
    }


def to_json(test: Test, found: Analysis, decision: Decision, days: float) -> dict[str, t.Any]:
    """Return a test with everything that is known of it; what has no bound is ``None``."""
    body = describe(test)
    winner = decision.winner
    analysis: dict[str, t.Any] = {
        "days": round(days, 3),
        "units": {"a": found.units[0], "b": found.units[1]},
        "requests": {"a": found.requests[0], "b": found.requests[1]},
        "sample_ratio_p": found.srm_p,
        "metrics": {name: _metric(finding) for name, finding in found.findings.items()},
        "latency_percentiles": {
            arm: {
                name: {"value": one["value"], "bounds": _bounds(one["bounds"])}
                for name, one in values.items()
            }
            for arm, values in found.quantiles.items()
        },
        "p95_p": found.p95_p,
    }
    if found.agreement is not None:
        same, compared, low, high = found.agreement
        analysis["agreement"] = {"same": same, "compared": compared, "bounds": [low, high]}
    body["analysis"] = analysis
    body["decision"] = {
        "verdict": decision.verdict,
        "winner": None if winner is None else {"arm": "ab"[winner], "name": test.arms[winner]},
        "reasons": list(decision.reasons),
    }
    return body


def _metric(finding: Finding) -> dict[str, t.Any]:
    ratio = finding.ratio
    return {
        "better": "higher" if METRICS[finding.metric] else "lower",
        **{
            arm: {
                "n": finding.n[i],
                "value": finding.value[i],
                "bounds": _bounds(finding.bounds[i]),
            }
            for i, arm in enumerate("ab")
        },
        "difference": finding.difference,
        "difference_bounds": _bounds((finding.low, finding.high)),
        "relative": None if ratio is None else ratio[0],
        "relative_bounds": None if ratio is None else _bounds(ratio[1:]),
        "p": finding.p,
    }


def _bounds(bounds: tuple[float, float]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in bounds]


def _moment(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat() + "Z"


def to_text(body: dict[str, t.Any]) -> str:
    """Return what :func:`to_json` holds in sentences: what was compared, on how many, what is
    known and what is not known yet.
    """
    analysis, decision, arms = body["analysis"], body["decision"], body["arms"]
    shadow = body["mode"] == "shadow"
    what = "answered in the shadow of" if shadow else "compared with"
    lines = [
        f"{body['test_name']} ({body['status']}, {analysis['days']:.1f} days)",
        "",
        "What was compared",
        f"  Arm B, {arms['b']}, is {what} arm A, {arms['a']}, for {body['subject']}.",
        f"  {_counted(body)}",
        "",
        "What we know (bounds hold however often one looks, with 95 % confidence)",
    ]
    known, unknown = [], []
    for name, metric in analysis["metrics"].items():
        sentence = _sentence(name, metric)
        if sentence is None:
            silent = " or ".join(x.upper() for x in "ab" if metric[x]["value"] is None)
            unknown.append(f"  {name.capitalize()}: nothing was measured of {silent}.")
        elif metric["p"] <= body["plan"]["alpha"]:
            known.append(f"  {sentence}")
        else:
            unknown.append(f"  {sentence} No difference is shown.")
    if body["mode"] == "split" and body["unit"] == "request":
        differ = analysis["p95_p"] <= body["plan"]["alpha"]
        said = f"The slowest 5 % {'differ' if differ else 'are not shown to differ'}"
        (known if differ else unknown).append(f"  {said} (p95; p = {analysis['p95_p']:.2g}).")
    for arm in "ab":
        values = analysis["latency_percentiles"][arm]
        if values["p50"]["value"] is not None:
            parts = ", ".join(f"{p} {values[p]['value']:.1f} ms" for p in values)
            known.append(f"  Latency of arm {arm.upper()}: {parts}.")
    if "agreement" in analysis and analysis["agreement"]["compared"]:
        agreement = analysis["agreement"]
        low, high = agreement["bounds"]
        known.append(
            f"  The arms gave the same answer in {agreement['same']} of "
            f"{agreement['compared']} cases ({low:.1%} to {high:.1%})."
        )
    lines += known or ["  Nothing yet."]
    lines += ["", "What we do not know yet", *(unknown or ["  Nothing that was asked."])]
    lines += ["", "What follows", *(f"  {line}" for line in _conclusion(body, decision))]
    return "\n".join(lines)


def _counted(body: dict[str, t.Any]) -> str:
    units, requests = body["analysis"]["units"], body["analysis"]["requests"]
    if body["mode"] == "shadow":
        return f"{units['b']} inputs were answered by both."
    text = f"A answered {requests['a']} requests, B {requests['b']}"
    if body["unit"] == "user":
        text += f", of {units['a']} and {units['b']} users"
    p = body["analysis"]["sample_ratio_p"]
    fits = "as planned" if p > 0.01 else "NOT as planned"
    return f"{text}; the split is {fits} (p = {p:.2g})."


def _sentence(name: str, metric: dict[str, t.Any]) -> str | None:
    a, b = metric["a"], metric["b"]
    if a["value"] is None or b["value"] is None:
        return None
    text = f"{name.capitalize()}: A {_shown(name, a['value'])}, B {_shown(name, b['value'])}"
    if name in RELATIVE and metric["relative"] is not None:
        low, high = metric["relative_bounds"]
        return f"{text}; B differs by {metric['relative']:+.1%} ({_span(low, high, '.1%')})."
    if metric["difference"] is None:
        return f"{text}."
    scale = ".2%" if UNITS[name] == "%" else ".3g"
    low, high = metric["difference_bounds"]
    return f"{text}; B differs by {format(metric['difference'], '+' + scale)} " + (
        f"({_span(low, high, scale)})."
    )


def _shown(name: str, value: float) -> str:
    unit = UNITS[name]
    return f"{value:.2%}" if unit == "%" else f"{value:.4g} {unit}"


def _span(low: float | None, high: float | None, form: str) -> str:
    first = "no lower bound yet" if low is None else format(low, "+" + form)
    second = "no upper bound yet" if high is None else format(high, "+" + form)
    return f"{first} to {second}"


def _conclusion(body: dict[str, t.Any], decision: dict[str, t.Any]) -> list[str]:
    winner = decision["winner"]
    said = {
        "running": "Go on: nothing may be concluded yet.",
        "inconclusive": "Nothing may be concluded from this test.",
        "harm": "Arm B does harm; its traffic goes back to arm A.",
        "winner": f"Arm {winner['arm'].upper()}, {winner['name']}, is better." if winner else "",
    }[decision["verdict"]]
    lines = [said, *decision["reasons"]]
    if decision["verdict"] == "winner" and not body["plan"]["promote"]:
        lines.append("No traffic was moved: that is for a person to decide.")
    return lines
