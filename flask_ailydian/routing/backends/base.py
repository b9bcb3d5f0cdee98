"""What a backend is, what it yields, and how it fails."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import math
import typing as t

from ..money import Usage


@dataclasses.dataclass(frozen=True)
class Question:
    """What is sent: the query as it may leave, and nothing else about anybody.

    :param begin_by: When, as ``time.monotonic()`` counts, the first word must have come: somebody
        else is asked then.
    """

    text: str
    prompt: str = ""
    max_tokens: int = 1024
    begin_by: float = math.inf


@dataclasses.dataclass(frozen=True)
class Text:
    """A piece of the answer."""

    text: str


@dataclasses.dataclass(frozen=True)
class Used:
    """What the provider says it has used so far; the last one counts."""

    usage: Usage


@dataclasses.dataclass(frozen=True)
class Finished:
    """The provider said that the answer is whole (or cut at the length that was asked for)."""

    reason: str


Event = Text | Used | Finished


@dataclasses.dataclass(frozen=True)
class LocalAnswer:
    """What the local model said.

    :param in_scope: ``False``: the model says that the question is none of its own.
    :param sure: Its confidence reaches its threshold, and the question is its own.
    """

    text: str
    label: str
    confidence: float
    in_scope: bool
    sure: bool
    #: Of a text that was written: its tokens, how it ended, and the seed if there was one.
    written: dict[str, int | str] | None = None

    def public(self) -> dict[str, t.Any]:
        """Return what the answer's body says of it."""
        own = {"label": self.label} if self.written is None else self.written
        rest = {"in_scope": self.in_scope, "sure": self.sure}
        return {**own, "confidence": self.confidence, **rest}

    def kept(self) -> dict[str, t.Any]:
        """Return what the audit row says of it; never the text."""
        return {"prediction": self.label} if self.written is None else {"written": self.written}


class BackendFailure(Exception):
    """An attempt that gave no whole answer.

    :param word: A stable word, fit for a client: never a vendor's text.
    :param retry: Whether the same attempt may succeed a little later.
    :param billed: Whether the provider may charge for it all the same.
    :param wait: Seconds that the provider asked to wait.
    """

    def __init__(
        self, word: str, *, retry: bool = False, billed: bool = False, wait: float | None = None
    ) -> None:
        super().__init__(word)
        self.word = word
        self.retry = retry
        self.billed = billed
        self.wait = wait


class PaidBackend(t.Protocol):
    """A third party: register a factory of yours with ``router.register``."""

    name: str
    model: str

    def attempt(self, question: Question, deadline: float) -> c.Iterator[Event]:
        """Ask once, without retries, until ``time.monotonic()`` passes *deadline*.

        :raises BackendFailure: for everything that goes wrong.
        """
