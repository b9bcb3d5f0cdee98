"""Models that write, one token after the other, and what they keep of those before.

The loop is ours because ``onnxruntime-genai`` (0.18) holds Python's interpreter lock while it
computes: no other request of the process would be served meanwhile, and no deadline could end it.
"""

from __future__ import annotations

import collections.abc as c
import re
import typing as t

import numpy as np

from ..errors import ModelFailed
from .protocol import Array
from .signature import TensorSpec

IDS, MASK, PLACES, LOGITS = "input_ids", "attention_mask", "position_ids", "logits"
#: What exporters call the keys and values of a layer, as they go in and as they come out.
PAST, PRESENT = re.compile(r"past(?:_key_values)?(.+)"), re.compile(r"present(.+)")

#: Tokens of prompt and answer together, where the model's folder does not say it.
CONTEXT = 2048
#: Caches that a text takes while it is written: what goes into a run, what ONNX Runtime makes of
#: it, and the copy that comes out.
CACHES = 3

Run = c.Callable[[dict[str, Array]], dict[str, Array]]
Specs = t.Sequence[TensorSpec]


class Token(t.NamedTuple):
    """A token that was written, and the logarithm of the probability that the model gave it."""

    id: int
    log_chance: float


def cache_of(inputs: Specs, outputs: Specs) -> dict[str, str]:
    """Return the outputs that are the cache after a run, by the inputs that they become."""
    made = {found[1]: x.name for x in outputs if (found := PRESENT.fullmatch(x.name))}
    return {
        spec.name: made[found[1]]
        for spec in inputs
        if (found := PAST.fullmatch(spec.name)) and found[1] in made
    }


def writes(inputs: Specs, outputs: Specs) -> bool:
    """Whether a model reads tokens and a cache, and gives scores of the next token and a cache."""
    cache = cache_of(inputs, outputs)
    whole = {s.name for s in inputs if s.dtype in ("int64", "int32") and len(s.shape) == 2}
    right = all(
        (spec.name in whole and spec.name in (IDS, MASK, PLACES))
        or (spec.name in cache and _is_cache(spec))
        for spec in inputs
    )
    scores = any(spec.name == LOGITS and len(spec.shape) == 3 for spec in outputs)
    return IDS in whole and bool(cache) and right and scores


def _is_cache(spec: TensorSpec) -> bool:
    if len(spec.shape) != 4 or not spec.dtype.startswith("float"):
        return False
    return all(isinstance(spec.shape[axis], int) for axis in (1, 3))


def cache_bytes(inputs: Specs, tokens: int) -> int:
    """Return what the cache of one text of *tokens* tokens takes."""
    sizes = [
        np.dtype(spec.dtype).itemsize * int(spec.shape[1] or 0) * int(spec.shape[3] or 0)
        for spec in inputs
        if PAST.fullmatch(spec.name) and _is_cache(spec)
    ]
    return sum(sizes) * tokens


def beginning(inputs: Specs, ids: t.Sequence[int]) -> dict[str, Array]:
    """Return what a model that has read nothing yet takes for its first tokens."""
    arrays = _of_tokens(inputs, ids, 0)
    for spec in inputs:
        if PAST.fullmatch(spec.name):
            shape = (1, int(spec.shape[1] or 0), 0, int(spec.shape[3] or 0))
            arrays[spec.name] = np.zeros(shape, spec.dtype)
    return arrays


def _of_tokens(inputs: Specs, ids: t.Sequence[int], before: int) -> dict[str, Array]:
    whole = {spec.name: spec.dtype for spec in inputs}
    after = before + len(ids)
    arrays: dict[str, Array] = {IDS: np.array([ids], whole[IDS])}
    if MASK in whole:
        arrays[MASK] = np.ones((1, after), whole[MASK])
    if PLACES in whole:
        arrays[PLACES] = np.arange(before, after, dtype=whole[PLACES])[None]
    return arrays


def write(
    run: Run,
    inputs: Specs,
    outputs: Specs,
    ids: t.Sequence[int],
    *,
    most: int,
    end: c.Collection[int] = (),
    choose: c.Callable[[Array], int] | None = None,
) -> t.Iterator[Token]:
    """Yield the tokens that follow *ids*, at most *most*, up to and with one of *end*.

    :param run: One run of the model.
    :param choose: Takes the logarithms of the probabilities of all tokens, and returns one; by
        default the most probable.
    :raises ModelFailed: when the model's scores are no numbers.
    """
    cache = cache_of(inputs, outputs)
    arrays, read = beginning(inputs, ids), len(ids)
    for number in range(most):
        found = run(arrays)
        chances = _log_chances(found[LOGITS])
        chosen = int(np.argmax(chances)) if choose is None else choose(chances)
        yield Token(chosen, float(chances[chosen]))
        if chosen in end or number + 1 == most:
            return
        arrays = _of_tokens(inputs, [chosen], read)
        arrays |= {past: found[present] for past, present in cache.items()}
        read += 1


def _log_chances(logits: Array) -> Array:
    scores: Array = logits[0, -1].astype(np.float64)
    scores -= scores.max()
    scores -= np.log(np.exp(scores).sum())
    # Minus infinity is the score of a token that may not come.
    if np.isnan(scores).any():
        raise ModelFailed("The model's scores are no numbers.")
    return scores


class Sampler:
    """Draws tokens by their probability, flattened or sharpened; the seed makes it repeatable.

    :param temperature: Above zero: below one the probable gain, above one the improbable do.
    :param top_p: Of the most probable tokens, so many are drawn from that their probabilities, at
        that temperature, come to this; with one, all of them.
    """

    def __init__(self, temperature: float, seed: int, top_p: float = 1.0) -> None:
        self._temperature = temperature
        self._top_p = top_p
        self._rng = np.random.default_rng(seed)

    def __call__(self, log_chances: Array) -> int:
        scores = log_chances / self._temperature
        weights = np.exp(scores - scores.max())
        weights /= weights.sum()
        if self._top_p < 1:
            order = np.argsort(-weights)
            enough = int(np.searchsorted(np.cumsum(weights[order]), self._top_p))
            weights[order[enough + 1 :]] = 0
            weights /= weights.sum()
        return int(self._rng.choice(weights.size, p=weights))


class Stops:
    """Ends a text before the first of some strings, wherever the pieces of it begin and end.

    What may be the beginning of such a string is held back until it is known.

    :param strings: None of them empty.
    """

    def __init__(self, strings: t.Sequence[str]) -> None:
        self._strings = strings
        self._held = ""

    def read(self, piece: str) -> tuple[str, bool]:
        """Return what may be shown after one more piece, and whether the text ends with that."""
        text = self._held + piece
        ends = [place for string in self._strings if (place := text.find(string)) >= 0]
        if ends:
            self._held = ""
            return text[: min(ends)], True
        kept = max((_begun(text, string) for string in self._strings), default=0)
        self._held = text[len(text) - kept :]
        return text[: len(text) - kept], False

    def rest(self) -> str:
        """Return what was held back of a text that has come to its end."""
        held, self._held = self._held, ""
        return held


def _begun(text: str, string: str) -> int:
    """Return how many characters at the end of *text* may be the beginning of *string*."""
    longest = min(len(text), len(string) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(string[:n])), 0)
