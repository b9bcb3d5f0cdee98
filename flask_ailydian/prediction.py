"""From an input to a model's outputs: the way through cache, executor, engine and explanation."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import functools
import time
import typing as t

import numpy as np

from . import recipes
from .engine.batching import Batcher
from .engine.cam import Heads
from .engine.executor import Executor
from .engine.executor import Place
from .engine.explain import occlusion
from .engine.forks import restart_in_children
from .engine.postprocess import probabilities
from .engine.protocol import Array
from .engine.protocol import Engine
from .engine.results import ResultCache
from .errors import ModelFailed
from .errors import ValidationFailed
from .inputs import preprocessing
from .inputs import tensors
from .inputs import text as texts
from .oip.matching import matched
from .records import ModelRecord
from .serving import Serving
from .settings import Settings
from .tracing import span

#: The member that holds the input, for each task whose input is prepared.
MEMBERS = {"image-classification": "image"} | dict.fromkeys(recipes.TEXT_TASKS, "text")
WITHOUT_CLASSES = ("tensor", "text-embedding", "query-routing", recipes.WRITES)


@dataclasses.dataclass(frozen=True)
class Given:
    """One input, and who asks which model about it."""

    model_name: str
    image: bytes | None = None
    media_type: str | None = None
    text: str | None = None
    inputs: dict[str, t.Any] | None = None
    model_version: str | None = None
    user_id: str | None = None
    top_k: int | None = None
    explain: bool = False
    #: What the model takes, with nothing left to prepare.
    tensors: dict[str, Array] | None = None


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long the caller waits, and whether it still does.

    :param timeout: Seconds; ``None`` for as long as the setting says, which is the most.
    :param gone: Says whether the caller has hung up, from any thread.
    """

    timeout: float | None = None
    gone: c.Callable[[], bool] | None = None


@dataclasses.dataclass
class Outcome:
    """What a model gave for one input.

    :param run_ms: Of the engine; ``None`` when no run was needed.
    """

    outputs: dict[str, Array]
    cached: bool = False
    prepare_ms: float = 0.0
    run_ms: float | None = None
    explanation: dict[str, t.Any] | None = None

    def stages(self) -> dict[str, float]:
        """Return the seconds of each stage that there was."""
        if self.run_ms is None:
            return {}
        return {"preprocessing": self.prepare_ms / 1000, "inference": self.run_ms / 1000}


class Prediction:
    """Runs models for one app: bounded, in turn, before the deadline."""

    def __init__(
        self, settings: Settings, serving: Serving, executor: Executor, results: ResultCache
    ) -> None:
        self._settings = settings
        self._serving = serving
        self.executor = executor
        self._calls = Executor(settings.remote_calls, settings.queue_size, beside=executor)
        self.results = results
        self._heads = Heads()
        self.start_anew()
        restart_in_children(self)

    def start_anew(self) -> None:
        """Forget the batches that are being collected."""
        self._batchers: dict[tuple[str, int, float], Batcher] = {}

    def of(
        self,
        given: Given,
        model: ModelRecord,
        fingerprint: str,
        *,
        deadline: float,
        gone: c.Callable[[], bool] | None,
    ) -> Outcome:
        """Return the model's outputs for one input.

        :param fingerprint: Of the input.
        :param deadline: As ``time.monotonic()`` counts.
        :param gone: Says whether the one who asked has hung up.
        :raises AilydianError: for everything that goes wrong.
        """
        outcome = Outcome({})

        def run() -> dict[str, Array]:
            with self.executor_of(model).admitted(deadline, gone) as place:
                self._run(given, model, place, outcome)
            return outcome.outputs

        serving = model.serving
        if not serving.cache_entries or given.explain:
            run()
            return outcome
        outcome.outputs, outcome.cached = self.results.get_or_run(
            model.sha256,
            (preprocessing.VERSION, model.id, fingerprint),
            run,
            entries=serving.cache_entries,
            seconds=serving.cache_seconds,
            deadline=deadline,
        )
        return outcome

    def run(self, given: Given, model: ModelRecord, *, deadline: float) -> dict[str, Array]:
        """Return the model's outputs for one input, without looking for a kept answer."""
        outcome = Outcome({})
        with self.executor_of(model).admitted(deadline) as place:
            self._run(given, model, place, outcome)
        return outcome.outputs

    def _run(self, given: Given, model: ModelRecord, place: Place, outcome: Outcome) -> None:
        started = time.perf_counter()
        with place.decoding(), span("ailydian.preprocessing"):
            arrays = self.prepare(given, model)
        outcome.prepare_ms = (time.perf_counter() - started) * 1000
        with self._serving.lease(model, place.deadline) as engine:
            if model.serving.max_batch > 1 and not given.explain:
                outcome.outputs = self._batcher(model).run(
                    arrays,
                    lambda batch, deadline: self._turn(engine, batch, place, deadline, outcome),
                    deadline=place.deadline,
                )
                return
            with place.running() as alone, self._span(model):
                ran = time.perf_counter()
                outputs = engine.run(
                    arrays,
                    deadline=place.deadline,
                    gone=place.gone,
                    alone=alone,
                    exposed=given.explain,
                )
                maps = [outputs.pop(name) for name in model.report.exposed if name in outputs]
                outcome.outputs = outputs
                outcome.run_ms = (time.perf_counter() - ran) * 1000
                if given.explain:
                    outcome.explanation = self._explain(model, engine, arrays, outcome, maps, place)

    def _turn(
        self,
        engine: Engine,
        batch: dict[str, Array],
        place: Place,
        deadline: float,
        outcome: Outcome,
    ) -> dict[str, Array]:
        """Run a batch: for all of its members, so that none of them may give it up."""
        whole = Place(place.executor, deadline, None)
        with whole.running() as alone, span("ailydian.inference"):
            ran = time.perf_counter()
            outputs = engine.run(batch, deadline=deadline, alone=alone)
            outcome.run_ms = (time.perf_counter() - ran) * 1000
        return outputs

    def executor_of(self, model: ModelRecord) -> Executor:
        """Return who lets runs of *model* in: calls of other servers wait, and take no core."""
        return self._calls if model.type == "remote" else self.executor

    def _span(self, model: ModelRecord) -> t.Any:
        return span("ailydian.inference", model=model.name, version=model.version)

    def _batcher(self, model: ModelRecord) -> Batcher:
        serving = model.serving
        key = (model.sha256, serving.max_batch, serving.max_delay_ms)
        return self._batchers.setdefault(
            key, Batcher(serving.max_batch, serving.max_delay_ms / 1000)
        )

    def prepare(self, given: Given, model: ModelRecord) -> dict[str, Array]:
        """Return an input as the arrays that a model takes."""
        if given.tensors is not None:
            return matched(given.tensors, model.inputs)
        member = MEMBERS.get(model.task, "inputs")
        value = getattr(given, member)
        if value is None:
            message = f"{model.name} takes {member!r}{recipes.ELSEWHERE.get(model.task, '')}."
            raise ValidationFailed(message, fields={member: [message]})
        if member == "image":
            tensor = preprocessing.load(
                value,
                model.recipe,
                max_bytes=self._settings.max_image_bytes,
                max_pixels=self._settings.max_image_pixels,
                declared=given.media_type,
            )
            return {model.inputs[0].name: tensor}
        if member == "text":
            folded = texts.normalise(value, max_chars=self._settings.max_text_chars)
            if model.tokenizer:
                return self._serving.tokens(model).arrays(folded, model.inputs)
            shape = (1,) * max(len(model.inputs[0].shape), 1)
            return {model.inputs[0].name: np.full(shape, folded, dtype=object)}
        return tensors.to_arrays(
            value, model.inputs, max_elements=self._settings.max_tensor_elements
        )

    def _explain(
        self,
        model: ModelRecord,
        engine: Engine,
        arrays: dict[str, Array],
        outcome: Outcome,
        maps: list[Array],
        place: Place,
    ) -> dict[str, t.Any]:
        chances = chances_of(model, outcome.outputs)
        if chances is None or model.preprocessing is None:
            message = "Only classifications of images can be explained."
            raise ValidationFailed(message, fields={"explain": [message]})
        best = int(np.argmax(chances))
        about = {"class": labels_of(model, chances)[best], "frame": model.recipe.frame()}
        if maps and model.report.cam is not None:
            read = functools.partial(self._serving.read, model)
            grid = self._heads.draw(model.sha256, model.report.cam, read, maps[0], best)
            return {"method": "cam", **about, "grid": grid}
        ((name, tensor),) = arrays.items()

        def score(covered: Array) -> float:
            ran = engine.run({name: covered}, deadline=place.deadline, gone=place.gone)
            found = chances_of(model, ran)
            assert found is not None
            return float(found[best])

        layout = model.preprocessing["layout"]
        return {"method": "occlusion", **about, "grid": occlusion(score, tensor, layout=layout)}


def chances_of(model: ModelRecord, outputs: dict[str, Array]) -> Array | None:
    """Return the probabilities of the one input by class, or ``None`` where there are none."""
    scores = next((x for x in outputs.values() if is_floats(x)), None)
    if (model.task in WITHOUT_CLASSES and not model.labels) or scores is None:
        return None
    if scores.ndim > 1 and scores.shape[0] != 1:
        raise ModelFailed("The model did not give one answer to one input.")
    chances = probabilities(scores.reshape(-1), already=model.report.ends_in_probabilities)
    if model.labels and len(model.labels) != chances.size:
        raise ModelFailed("The model gave another number of classes than it has labels.")
    return chances


def labels_of(model: ModelRecord, chances: Array) -> tuple[str, ...]:
    """Return the names of the classes; those of a model without labels are numbered."""
    return model.labels or _numbered(chances.size)


@functools.lru_cache(maxsize=64)
def _numbered(classes: int) -> tuple[str, ...]:
    return tuple(f"class_{i}" for i in range(classes))


def label_of(model: ModelRecord, outputs: dict[str, Array]) -> str | None:
    """Return the class that a model's outputs name, or ``None`` where there are none."""
    chances = chances_of(model, outputs)
    return None if chances is None else labels_of(model, chances)[int(np.argmax(chances))]


def is_floats(array: t.Any) -> bool:
    """Whether an output holds numbers with a fraction."""
    return isinstance(array, np.ndarray) and array.dtype.kind == "f"
