"""What is known of a model before it is registered: flags over the file's own metadata."""

from __future__ import annotations

import dataclasses
import json
import re
import typing as t

from . import recipes
from . import sanitize
from .engine import decoder
from .engine import tokens
from .engine.probe import ModelReport
from .engine.signature import TensorSpec
from .errors import ModelRefused
from .errors import ValidationFailed
from .inputs.preprocessing import ImagePreprocessing
from .options import ServingOptions

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
DOMAINS = ("medical", "legal", "civic", "chat")
TASKS = (
    "image-classification",
    recipes.CLASSIFIES,
    recipes.WRITES,
    "tensor",
    "query-routing",
    recipes.EMBEDS,
)
MAX_LABELS = 100_000


@dataclasses.dataclass(frozen=True)
class Declared:
    """What somebody says of a model file; ``None`` leaves it to the file's metadata."""

    labels: t.Sequence[str] | None = None
    domain: str | None = None
    task: str | None = None
    size: tuple[int, int] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    preprocessing: dict[str, t.Any] | None = None
    description: str | None = None
    accuracy: float | None = None
    serving: dict[str, t.Any] | None = None
    tokenizer: bytes | None = None

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Height and width of the images, where somebody said them."""
        size = self.size or (self.preprocessing or {}).get("size")
        return None if size is None else (int(size[0]), int(size[1]))

    @property
    def image_channels(self) -> int:
        """One where a recipe says that images are grey, or one mean was given; else three."""
        grey = (self.preprocessing or {}).get("colour") == "L" or len(self.mean or ()) == 1
        return 1 if grey else 3

    @property
    def clean_description(self) -> str | None:
        """The description as harmless HTML."""
        return None if self.description is None else sanitize.html(self.description)

    def check(self, name: str, version: str) -> None:
        """Raise :class:`ValidationFailed` for what is wrong whatever the file holds."""
        fields: dict[str, list[str]] = {}
        for field, value in (("model_name", name), ("model_version", version)):
            if not NAME.fullmatch(value):
                fields[field] = ["Letters, digits, '.', '_' and '-', at most 64, no other start."]
        if self.domain is not None and self.domain not in DOMAINS:
            fields["domain"] = [f"One of {', '.join(DOMAINS)}."]
        if self.task is not None and self.task not in TASKS:
            fields["task"] = [f"One of {', '.join(TASKS)}."]
        if self.accuracy is not None and not 0 <= self.accuracy <= 1:
            fields["accuracy"] = ["A share between 0 and 1."]
        if fields:
            raise ValidationFailed(fields=fields)


def describe(report: ModelReport, declared: Declared) -> dict[str, t.Any]:
    """Return the columns that follow from a file's report and what was declared of it.

    :raises ValidationFailed: when the two contradict each other.
    """
    own = {
        key.removeprefix("ailydian."): value
        for key, value in report.metadata.items()
        if key.startswith("ailydian.")
    }
    serving = None
    if declared.serving is not None:
        options = ServingOptions.from_json(declared.serving)
        options.check(report)
        serving = options.to_json()
    recipe = _preprocessing(report, declared, own)
    labels = _labels(report, declared, own)
    domain = declared.domain or own.get("domain") or "civic"
    if domain not in DOMAINS:
        raise ValidationFailed(fields={"domain": [f"One of {', '.join(DOMAINS)}."]})
    description = declared.description
    if description is None:
        description = own.get("description")
    if description is not None and "\0" in description:
        # PostgreSQL cannot hold it.
        raise ValidationFailed(fields={"description": ["No NUL characters."]})
    return {
        "domain": domain,
        "task": _task(report, declared, own),
        "input_shape": [spec.to_json() for spec in report.inputs],
        "output_shape": [spec.to_json() for spec in report.outputs],
        "labels": labels,
        "preprocessing": recipe,
        "report": report.to_json(),
        "description": Declared(description=description).clean_description,
        "accuracy": declared.accuracy,
        "serving": serving,
    }


def _task(report: ModelReport, declared: Declared, own: dict[str, str]) -> str:
    task = declared.task or own.get("task")
    if task is not None and task not in TASKS:
        raise ValidationFailed(fields={"task": [f"One of {', '.join(TASKS)}."]})
    text = len(report.inputs) == 1 and report.inputs[0].dtype == "string"
    if declared.tokenizer is not None:
        text = tokens.are_tokens(report.inputs)
    picture = image_layout(report.inputs) is not None
    right = {"image-classification": picture, recipes.CLASSIFIES: text, "tensor": True}
    right[recipes.EMBEDS] = text
    right[recipes.WRITES] = (
        report.ran
        and declared.tokenizer is not None
        and decoder.writes(report.inputs, report.outputs)
    )
    right["query-routing"] = _is_router(report.inputs)
    if task is None:
        return next(name for name in TASKS if right[name])
    if not right[task]:
        raise ValidationFailed(fields={"task": [f"The file's inputs do not fit {task!r}."]})
    return task


def _is_router(inputs: t.Sequence[TensorSpec]) -> bool:
    """Whether a model takes a text, and perhaps numbers that are worked out of it."""
    kinds = [spec.dtype for spec in inputs]
    return kinds[:1] == ["string"] and all(kind == "float32" for kind in kinds[1:])


def image_layout(inputs: t.Sequence[TensorSpec]) -> tuple[str, int, list[int | None]] | None:
    """Return layout, channels and fixed height and width of a lone image input, or ``None``."""
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        return None
    spec = inputs[0]
    if spec.dtype not in ("float32", "float16", "uint8"):
        return None
    for layout, channel, sides in (("NCHW", 1, (2, 3)), ("NHWC", 3, (1, 2))):
        channels = spec.shape[channel]
        if channels in (1, 3):
            fixed = [side if isinstance(side := spec.shape[i], int) else None for i in sides]
            return layout, int(channels), fixed
    return None


def _preprocessing(
    report: ModelReport, declared: Declared, own: dict[str, str]
) -> dict[str, t.Any] | None:
    task = _task(report, declared, own)
    if task in (recipes.CLASSIFIES, recipes.EMBEDS, recipes.WRITES):
        return _text(task, declared, own)
    if task != "image-classification":
        return None
    found = image_layout(report.inputs)
    assert found is not None
    layout, channels, sides = found
    recipe: dict[str, t.Any] = {"kind": "image", "layout": layout, "dtype": report.inputs[0].dtype}
    recipe["size"] = [sides[0] or 224, sides[1] or 224]
    if channels == 1:
        # The ImageNet figures, averaged over the channels.
        recipe |= {"colour": "L", "mean": [0.449], "std": [0.226]}
    if report.inputs[0].dtype == "uint8":
        recipe |= {"mean": [0.0] * channels, "std": [1 / 255] * channels}
    if "preprocessing" in own:
        try:
            recipe |= json.loads(own["preprocessing"])
        except (ValueError, TypeError) as error:
            raise ModelRefused("The file's own pre-processing metadata is not JSON.") from error
    recipe |= declared.preprocessing or {}
    for key in ("size", "mean", "std"):
        if (value := getattr(declared, key)) is not None:
            recipe[key] = list(value)
    checked = ImagePreprocessing.from_json(recipe)
    for side, want in zip(sides, checked.size, strict=True):
        if side is not None and side != want:
            raise ValidationFailed(fields={"size": [f"The file takes {sides[0]}x{sides[1]}."]})
    return checked.to_json()


def _text(task: str, declared: Declared, own: dict[str, str]) -> dict[str, t.Any] | None:
    """Return what a text model says, and from which confidence on: flags over metadata."""
    try:
        found: dict[str, t.Any] = {
            key: json.loads(own[key]) for key in ("answers", "threshold", "knowledge") if key in own
        }
    except ValueError as error:
        raise ModelRefused("The file's own metadata on its answers is not JSON.") from error
    if "out_of_scope" in own:
        found["out_of_scope"] = own["out_of_scope"]
    return recipes.check(task, found | (declared.preprocessing or {}), declared.tokenizer)


def _labels(report: ModelReport, declared: Declared, own: dict[str, str]) -> list[str] | None:
    labels: t.Any = declared.labels
    if labels is None and "labels" in own:
        try:
            labels = json.loads(own["labels"])
        except ValueError as error:
            raise ModelRefused("The file's own labels metadata is not JSON.") from error
    if labels is None:
        return None
    problem = None
    if not isinstance(labels, list | tuple) or not 1 <= len(labels) <= MAX_LABELS:
        problem = f"Between 1 and {MAX_LABELS} labels are needed."
    elif not all(
        isinstance(x, str) and x.strip() and len(x) <= 255 and "\0" not in x for x in labels
    ):
        problem = "Every label is a text of 1 to 255 characters."
    else:
        count = class_count(report.outputs)
        if count is not None and count != len(labels):
            problem = f"The file has {count} classes, and {len(labels)} labels were given."
    if problem:
        raise ValidationFailed(fields={"labels": [problem]})
    return _distinct(list(labels))


def class_count(outputs: t.Sequence[TensorSpec]) -> int | None:
    """Return the fixed last dimension of the first float output, or ``None``."""
    for spec in outputs:
        if spec.dtype.startswith("float") and spec.shape:
            last = spec.shape[-1]
            return last if isinstance(last, int) else None
    return None


def _distinct(labels: list[str]) -> list[str]:
    """Number the repeats: ImageNet itself has two classes called "crane"."""
    seen: dict[str, int] = {}
    taken = set(labels)
    result = []
    for label in labels:
        seen[label] = seen.get(label, 0) + 1
        name = label
        while seen[label] > 1 and name in taken:
            name = f"{label} ({seen[label]})"
            seen[label] += name in taken
        taken.add(name)
        result.append(name)
    return result
