"""How a model is served, as far as that is a choice."""

from __future__ import annotations

import dataclasses
import typing as t

from .engine.probe import ModelReport
from .errors import ValidationFailed


@dataclasses.dataclass(frozen=True)
class ServingOptions:
    """How a version is served, as far as that is a choice.

    :param cache_entries: Answers that a process keeps; 0 for none.
    :param cache_seconds: How long it keeps them.
    :param max_batch: Inputs that may run together; 1 for one by one.
    :param max_delay_ms: How long the first of them waits for others.
    """

    cache_entries: int = 0
    cache_seconds: float = 3600.0
    max_batch: int = 1
    max_delay_ms: float = 2.0

    LIMITS: t.ClassVar[dict[str, tuple[float, float]]] = {
        "cache_entries": (0, 1_000_000),
        "cache_seconds": (0.001, 30 * 24 * 3600.0),
        "max_batch": (1, 1024),
        "max_delay_ms": (0, 1000),
    }

    @classmethod
    def from_json(cls, data: t.Mapping[str, t.Any] | None) -> ServingOptions:
        """Read options; what is left out has the default.

        :raises ValidationFailed: with the messages by member.
        """
        kinds = {f.name: type(f.default) for f in dataclasses.fields(cls)}
        wrong = {}
        for key, value in (data or {}).items():
            if key not in kinds:
                wrong[key] = ["Unknown."]
                continue
            low, high = cls.LIMITS[key]
            number = type(value) is int or (kinds[key] is float and type(value) is float)
            if not number or not low <= value <= high:
                wrong[key] = [f"A number between {low:g} and {high:g}."]
        if wrong:
            raise ValidationFailed(fields={"serving": wrong})
        return cls(**(data or {}))

    def to_json(self) -> dict[str, t.Any]:
        """Return the options as JSON holds them."""
        return dataclasses.asdict(self)

    def check(self, report: ModelReport) -> None:
        """Raise :class:`ValidationFailed` where a model cannot be served so."""
        specs = (*report.inputs, *report.outputs)
        fixed = [spec.name for spec in specs if not spec.shape or isinstance(spec.shape[0], int)]
        if self.max_batch > 1 and fixed:
            message = f"The first dimension of {', '.join(fixed)} is fixed: one input at a time."
            raise ValidationFailed(fields={"serving": {"max_batch": [message]}})
