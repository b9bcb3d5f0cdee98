"""Who answers a query: a pure decision, which carries everything that made it."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import hashlib
import typing as t

from .complexity import Classification

Backend = t.Literal["onnx", "3rdparty"]
ONNX: Backend = "onnx"
THIRD_PARTY: Backend = "3rdparty"
BACKENDS: tuple[Backend, ...] = (ONNX, THIRD_PARTY)


@dataclasses.dataclass(frozen=True)
class Arm:
    """What a running A/B test assigned: its backend, its name, and the chance of it."""

    backend: Backend
    name: str
    propensity: float
    test_id: int | None = None


#: Asked for queries of medium complexity, with the unit that the assignment sticks to.
Choose = c.Callable[[str], "Arm | None"]
#: A host's last word: gets the decision, returns another backend or ``None``.
Override = c.Callable[["Decision"], "Backend | None"]


@dataclasses.dataclass(frozen=True)
class Rules:
    """What a deployment decides once.

    :param split: Share of the medium queries that the paid backend answers.
    :param in_house: Domains whose text never leaves; no fallback changes that.
    :param salt: Makes splits of several deployments independent.
    """

    split: float = 0.5
    in_house: frozenset[str] = frozenset()
    salt: str = "router"


@dataclasses.dataclass(frozen=True)
class Decision:
    """The backend that should answer, why, and who may stand in.

    :param propensity: The probability with which this backend was chosen.
    """

    backend: Backend
    reason: str
    classification: Classification
    domain: str
    allowed: tuple[Backend, ...]
    arm: str | None = None
    propensity: float = 1.0
    test_id: int | None = None

    def to_json(self) -> dict[str, t.Any]:
        """Return the decision beside its classification."""
        return {
            "backend": self.backend,
            "reason": self.reason,
            "arm": self.arm,
            "propensity": self.propensity,
            "allowed": list(self.allowed),
        }


def order(decision: Decision) -> list[str]:
    """Return who is asked, in order: a request for the local model never costs money."""
    found: list[str] = [decision.backend]
    other = THIRD_PARTY if decision.backend == ONNX else ONNX
    if other in decision.allowed and not (decision.reason == "requested" and other == THIRD_PARTY):
        found.append(other)
    return found


def share(unit: str, salt: str) -> float:
    """Return where *unit* falls in [0, 1), always in the same place."""
    digest = hashlib.sha256(f"{salt}\0{unit}".encode()).digest()
    return int.from_bytes(digest[:7]) / 2**56


def decide(
    classification: Classification,
    *,
    domain: str,
    unit: str,
    rules: Rules,
    asked: str = "auto",
    choose: Choose | None = None,
    override: Override | None = None,
) -> Decision:
    """Decide who answers.

    :param unit: What an assignment sticks to: the user, else the query's fingerprint.
    :param asked: The backend that the request names, or ``auto``.
    :raises PermissionError: when the request asks for what the domain forbids.
    """
    in_house = domain in rules.in_house
    allowed: tuple[Backend, ...] = (ONNX,) if in_house else BACKENDS
    made = _made(classification, unit, rules, asked, choose, in_house)
    decision = Decision(made[0], made[1], classification, domain, allowed, *made[2:])
    if asked == "auto" and override is not None:
        wanted = override(decision)
        if wanted is not None and wanted in allowed and wanted != decision.backend:
            return dataclasses.replace(
                decision, backend=wanted, reason="host-override", arm=None, propensity=1.0
            )
    return decision


def _made(
    classification: Classification,
    unit: str,
    rules: Rules,
    asked: str,
    choose: Choose | None,
    in_house: bool,
) -> tuple[Backend, str, str | None, float, int | None]:
    if asked == THIRD_PARTY and in_house:
        raise PermissionError("Text of this domain does not leave the house.")
    for backend in BACKENDS:
        if asked == backend:
            return backend, "requested", None, 1.0, None
    if in_house:
        return ONNX, "in-house-domain", None, 1.0, None
    if classification.complexity == "simple":
        return ONNX, "simple-query", None, 1.0, None
    if classification.complexity == "complex":
        return THIRD_PARTY, "complex-query", None, 1.0, None
    arm = choose(unit) if choose is not None else None
    if arm is not None:
        return arm.backend, "ab-test", arm.name, arm.propensity, arm.test_id
    paid = share(unit, rules.salt) < rules.split
    chance = rules.split if paid else 1 - rules.split
    return (
        THIRD_PARTY if paid else ONNX,
        "medium-query-split",
        THIRD_PARTY if paid else ONNX,
        chance,
        None,
    )
