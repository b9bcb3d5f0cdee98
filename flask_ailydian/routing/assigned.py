"""The arm of a running A/B test between backends that a query meets."""

from __future__ import annotations

from ..experiments.service import Experiments
from .policy import Arm
from .policy import ONNX
from .policy import THIRD_PARTY
from .turn import Asked
from .turn import Turn


def assigned(experiments: Experiments, turn: Turn, asked: Asked) -> Arm | None:
    """Return the arm, and keep it with the query; ``None`` when no test has it."""
    choice = experiments.choose(f"query:{asked.domain}", user_id=turn.user, request_id=turn.id)
    if choice is None or choice.backend not in (ONNX, THIRD_PARTY):
        return None
    turn.choice = choice
    # In a shadow test the first arm answers everybody.
    propensity = 1.0 if choice.shadow else choice.propensity
    return Arm(choice.backend, choice.name, propensity, choice.test_id)
