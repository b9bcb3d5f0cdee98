"""What the arms of a test may be: models, versions of one model, backends of the router."""

from __future__ import annotations

import dataclasses
import re

from ..errors import ValidationFailed
from ..registry import Registry
from .plan import Plan

BACKENDS = ("onnx", "3rdparty")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclasses.dataclass(frozen=True)
class Arm:
    """One arm, by the label under which it is stored."""

    label: str
    subject: str
    model_id: int | None


def parse(text: str, registry: Registry) -> Arm:
    """Return the arm that *text* means; a model without version is the one that answers now.

    :raises ModelNotFound: when no active or testing model is meant.
    """
    backend = backend_of(text)
    if backend is not None:
        if backend not in BACKENDS:
            message = f"Backends are {', '.join(BACKENDS)}."
            raise ValidationFailed(message, fields={"model_b": [message]})
        return Arm(text, "query", None)
    name, _, version = text.partition(":")
    record = registry.resolve(name, version or None)
    return Arm(f"{record.name}:{record.version}", record.name, record.id)


def backend_of(label: str) -> str | None:
    """Return the backend that a label names, or ``None`` for a model."""
    kind, _, name = label.partition(":")
    return name if kind == "backend" else None


def model_of(label: str) -> tuple[str, str]:
    """Return name and version of the model that a label names."""
    name, _, version = label.partition(":")
    return name, version


def check(name: str, first: Arm, second: Arm, split_percent: int, plan: Plan) -> None:
    """Raise :class:`ValidationFailed` when the arms cannot be compared."""
    wrong: dict[str, list[str]] = {}
    if not NAME.fullmatch(name):
        wrong["test_name"] = ["Letters, digits, '.', '_' and '-', at most 64, no other start."]
    if not 1 <= split_percent <= 99:
        wrong["traffic_split_percent"] = ["1 to 99: arm B's share."]
    if first.label == second.label:
        wrong["model_b"] = ["The arms are the same; nothing would be compared."]
    elif (first.model_id is None) != (second.model_id is None):
        wrong["model_b"] = ["Compare models with models, and backends with backends."]
    if plan.promote and (first.model_id is None or first.subject != second.subject):
        wrong["promote"] = ["Only a version of one model can take over its traffic."]
    if wrong:
        raise ValidationFailed(fields=wrong)
