"""BentoML: one worker process, a thread a core, one thread a run: they share the model."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import bentoml
from bentoml.validators import ContentType

from bench import reference


@bentoml.service(workers=1, threads=os.cpu_count() or 1, traffic={"timeout": 120})
class Photo:
    """The whole work in one call."""

    def __init__(self) -> None:
        self.session = reference.open_session(os.environ["BENCH_MODEL"], 1)

    @bentoml.api(route="/predict")
    def predict(self, image: t.Annotated[Path, ContentType("image/jpeg")]) -> dict[str, t.Any]:
        """Return the answer to one photograph."""
        tensor = reference.prepare(image.read_bytes())
        return reference.answer(reference.run(self.session, tensor))
