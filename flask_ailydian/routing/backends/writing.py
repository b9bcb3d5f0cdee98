"""An answer that a local model writes: first how sure its beginning is, then the whole of it."""

from __future__ import annotations

import collections.abc as c
import contextlib
import math

from ...errors import ValidationFailed
from ...generation import Piece
from .base import BackendFailure
from .base import LocalAnswer

#: After so many tokens it is decided whether the model is sure: a reader waits for no more.
SURE_AFTER = 16


class Draft:
    """An answer on its way.

    Its confidence is the geometric mean of the probabilities that the model gave to the first
    ``SURE_AFTER`` tokens it wrote, or to all where there are fewer, the sign that ends it
    included. It says how settled the model is on its words, and nothing of whether they are true.

    :param pieces: What the model writes; closed with the draft.
    :param threshold: Confidence from which it is sure.
    :param refusal: What is said in place of an answer that is not.
    :param seed: Of chance, where there was any.
    """

    def __init__(
        self,
        pieces: c.Generator[Piece, None, None],
        *,
        threshold: float,
        refusal: str | None = None,
        seed: int | None = None,
    ) -> None:
        self._pieces = pieces
        self._threshold = threshold
        self._refusal = refusal
        self._seed = seed
        self._begun: list[Piece] = []
        self._said: list[str] = []
        self._tokens = 0
        self._last: str | None = None
        self.confidence = 0.0

    def begin(self) -> LocalAnswer:
        """Let the model write the beginning, and return how sure it is.

        :raises BackendFailure: when the query leaves no room for an answer.
        """
        try:
            for piece in self._pieces:
                self._begun.append(piece)
                if piece.last or len(self._begun) == SURE_AFTER:
                    break
        except ValidationFailed as error:
            raise BackendFailure("query_too_long") from error
        logs = [piece.log_chance for piece in self._begun]
        self.confidence = min(1.0, math.exp(sum(logs) / max(len(logs), 1)))
        return self.answer()

    @property
    def sure(self) -> bool:
        """Whether its confidence reaches the threshold."""
        return self.confidence >= self._threshold

    def text(self) -> c.Generator[str, None, None]:
        """Yield the text; the refusal alone where the model is not sure and has one."""
        with contextlib.closing(self._pieces):
            if not self.sure and self._refusal is not None:
                self._tokens = len(self._begun)
                self._said.append(self._refusal)
                yield self._refusal
                return
            for piece in self._begun:
                yield from self._read(piece)
            for piece in self._pieces:
                yield from self._read(piece)

    def _read(self, piece: Piece) -> c.Iterator[str]:
        self._tokens += 1
        self._last = piece.last
        if piece.text:
            self._said.append(piece.text)
            yield piece.text

    def answer(self) -> LocalAnswer:
        """Return what is known of it by now."""
        written: dict[str, int | str] = {"tokens": self._tokens, "finish": self._last or "cut"}
        if self._seed is not None:
            written["seed"] = self._seed
        return LocalAnswer("".join(self._said), "", self.confidence, True, self.sure, written)

    def close(self) -> None:
        """End the writing."""
        self._pieces.close()
