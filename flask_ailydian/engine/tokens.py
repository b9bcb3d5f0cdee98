"""Texts as the tokens that a model was trained on, by the ``tokenizer.json`` that came with it."""

from __future__ import annotations

import importlib
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
        try:
            module = importlib.import_module("tokenizers")
        except ImportError as error:
            raise BackendUnavailable(
                'This model needs a package: pip install "flask-ailydian[tokenizers]"'
            ) from error
        try:
            self._tokenizer = module.Tokenizer.from_str(data.decode("utf-8"))
        # The package has no exception of its own, and its texts may quote the file.
        except Exception as error:
            raise ModelRefused("The tokeniser's file cannot be read.") from error
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
