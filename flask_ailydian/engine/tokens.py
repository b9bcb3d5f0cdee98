"""Texts as the tokens that a model was trained on, by the ``tokenizer.json`` that came with it."""

from __future__ import annotations

import importlib
import re
import typing as t

import numpy as np

from ..errors import BackendUnavailable
from ..errors import ModelFailed
from ..errors import ModelRefused
from .protocol import Array
from .signature import TensorSpec

IDS = "input_ids"
#: What is made of a text, by the names under which models take it.
MEMBERS = {IDS: "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
#: Tokens of one text, where neither the file nor the recipe says it.
MOST = 512


def are_tokens(inputs: t.Sequence[TensorSpec]) -> bool:
    """Whether a model takes tokens: two dimensions of whole numbers under the usual names."""
    names = {spec.name for spec in inputs}
    whole = all(spec.dtype in ("int64", "int32") and len(spec.shape) == 2 for spec in inputs)
    return IDS in names and names <= set(MEMBERS) and whole


class Tokens:
    """One tokeniser.

    :param data: The file, as the ``tokenizers`` package writes it.
    :param most: Tokens of one text; the rest is left out.
    :raises BackendUnavailable: when that package is not installed.
    :raises ModelRefused: for a file that it cannot read.
    """

    def __init__(self, data: bytes, most: int = MOST) -> None:
        self._tokenizer = _load(data, "tokenizers")
        own = (self._tokenizer.truncation or {}).get("max_length", most)
        self._tokenizer.enable_truncation(min(int(own), most))
        self._tokenizer.no_padding()

    def arrays(self, text: str, inputs: t.Iterable[TensorSpec]) -> dict[str, Array]:
        """Return *text* as a batch of one for a model's inputs.

        :raises ModelFailed: when nothing is left of it.
        """
        encoded = self._tokenizer.encode(text)
        if not encoded.ids:
            raise ModelFailed("The model's tokeniser makes nothing of this text.")
        return {
            spec.name: np.array([getattr(encoded, MEMBERS[spec.name])], dtype=spec.dtype)
            for spec in inputs
        }


class Writer:
    """The tokeniser of a model that writes: prompts in, pieces of text out.

    :param data: The file, as the ``tokenizers`` package writes it.
    :raises BackendUnavailable: when that package is not installed.
    :raises ModelRefused: for a file that it cannot read.
    """

    def __init__(self, data: bytes) -> None:
        self._tokenizer = _load(data, "generation")
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        added = self._tokenizer.get_added_tokens_decoder().values()
        signs = sorted((a.content for a in added if a.special), key=len, reverse=True)
        self._sign = re.compile("|".join(map(re.escape, signs)) or r"(?!)")

    def prompt(self, parts: t.Sequence[str] | None, system: str, text: str) -> list[int]:
        """Return the tokens that a model reads before it answers *text*.

        The signs by which a model tells who speaks are taken out of *text*: whoever asks speaks
        for nobody else.

        :param parts: What comes before *system*, between it and *text*, and after.
        """
        before = None
        while before != text:
            before, text = text, self._sign.sub("", text)
        if parts is None:
            # Nothing is known of how the model was trained to be asked.
            return self._ids("\n\n".join(filter(None, (system, text))), bare=False)
        first, between, last = parts
        return self._ids(f"{first}{system}{between}{text}{last}", bare=True)

    def _ids(self, text: str, *, bare: bool) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=not bare).ids)

    def reader(self) -> t.Callable[[int], str]:
        """Return what turns tokens into text one by one; a character never comes in parts."""
        module = importlib.import_module("tokenizers.decoders")
        stream = module.DecodeStream(skip_special_tokens=True)
        return lambda token: stream.step(self._tokenizer, token) or ""


def _load(data: bytes, extra: str) -> t.Any:
    try:
        module = importlib.import_module("tokenizers")
    except ImportError as error:
        raise BackendUnavailable(
            f'This model needs a package: pip install "flask-ailydian[{extra}]"'
        ) from error
    try:
        return module.Tokenizer.from_str(data.decode("utf-8"))
    # The package has no exception of its own, and its texts may quote the file.
    except Exception as error:
        raise ModelRefused("The tokeniser's file cannot be read.") from error
