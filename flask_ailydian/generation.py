"""Answers that a model writes: a slot and an engine for each, until its end, in time."""

from __future__ import annotations

import collections.abc as c
import typing as t

from .engine import decoder
from .engine.executor import Executor
from .engine.protocol import Array
from .errors import ModelFailed
from .errors import ValidationFailed
from .records import ModelRecord
from .serving import Serving
from .settings import Settings
from .tracing import span


class Piece(t.NamedTuple):
    """What one token added: its text, which may be empty, and how probable the model held it.

    :param log_chance: The logarithm of the probability before any temperature.
    :param last: How the answer ends with it: ``stop``, or ``length`` where it was cut.
    """

    text: str
    log_chance: float
    last: str | None


class Generation:
    """Lets registered models write, one text for each slot of the executor."""

    def __init__(self, settings: Settings, serving: Serving, executor: Executor) -> None:
        self._settings = settings
        self._serving = serving
        self._executor = executor

    def most(self, model: ModelRecord, asked: int | None) -> int:
        """Return how many tokens an answer may have: what was *asked* for, within the limits."""
        own = int((model.preprocessing or {}).get("max_tokens", self._settings.local_max_tokens))
        return min(own, asked or own)

    def write(
        self,
        model: ModelRecord,
        query: str,
        *,
        most: int,
        deadline: float,
        gone: c.Callable[[], bool] | None = None,
        seed: int | None = None,
    ) -> c.Generator[Piece, None, None]:
        """Yield an answer to *query*, piece by piece; the slot is held until the end or the close.

        :param most: Tokens of the answer.
        :param deadline: As ``time.monotonic()`` counts; it ends the writing, also within a token.
        :param gone: Says whether the one who asked has hung up, which ends it as well.
        :param seed: Of chance, for models with a temperature.
        :raises ValidationFailed: when the query leaves the model no room for an answer.
        :raises AilydianError: for everything else that goes wrong.
        """
        recipe = model.preprocessing or {}
        system = str(recipe.get("system", self._settings.local_prompt))
        temperature = float(recipe.get("temperature", 0))
        top_p = float(recipe.get("top_p", 1))
        choose = None if not temperature else decoder.Sampler(temperature, seed or 0, top_p)
        stops = decoder.Stops(recipe.get("stop", ()))
        end = frozenset(recipe.get("end", ()))
        with self._executor.admitted(deadline, gone) as place:
            with place.decoding(), span("ailydian.preprocessing"):
                writer = self._serving.writer(model)
                ids = writer.prompt(recipe.get("template"), system, query)
            most = min(most, int(recipe.get("context", decoder.CONTEXT)) - len(ids))
            if most < 1 or not ids:
                message = f"The query is too long for {model.name}."
                raise ValidationFailed(message, fields={"query": [message]})
            read = writer.reader()
            with self._serving.lease(model, place.deadline) as engine, place.running():

                def run(arrays: dict[str, Array]) -> dict[str, Array]:
                    place.check()
                    alone = self._executor.inside == 1
                    return engine.run(arrays, deadline=place.deadline, gone=place.gone, alone=alone)

                tokens = decoder.write(
                    run, engine.inputs, engine.outputs, ids, most=most, end=end, choose=choose
                )
                for number, token in enumerate(tokens, 1):
                    try:
                        text = read(token.id)
                    # Of the tokeniser's package, which has no exception of its own.
                    except Exception as error:
                        raise ModelFailed() from error
                    text, stopped = stops.read("" if token.id in end else text)
                    ends = stopped or token.id in end
                    last = "stop" if ends else "length" if number == most else None
                    yield Piece(text + stops.rest() if last else text, token.log_chance, last)
                    if last:
                        return
