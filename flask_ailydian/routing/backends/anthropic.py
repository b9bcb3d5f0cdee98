"""Anthropic's Messages."""

from __future__ import annotations

import collections.abc as c
import typing as t

from ..money import Usage
from . import sdk
from .base import BackendFailure
from .base import Event
from .base import Finished
from .base import Question
from .base import Text
from .base import Used

WHOLE = frozenset({"end_turn", "max_tokens", "stop_sequence"})
#: In the order of ``Usage``.
COUNTS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


class AnthropicBackend:
    """One model behind ``/v1/messages``; see :class:`OpenAIBackend` for the parameters."""

    name = "anthropic"

    def __init__(self, key: str, model: str, *, url: str = "", silence: float = 8.0) -> None:
        self.model = model
        self._silence = silence
        self._clients = sdk.PerProcess(
            lambda: sdk.load("anthropic").Anthropic(
                api_key=key, base_url=url or None, max_retries=0
            )
        )

    def attempt(self, question: Question, deadline: float) -> c.Iterator[Event]:
        """Ask once, as a stream: only a stream shows that it was cut."""
        module, time = sdk.load("anthropic"), sdk.Time(question, deadline)
        more: dict[str, t.Any] = {"system": question.prompt} if question.prompt else {}
        counted: dict[str, int] = {}
        reason, stopped = None, False
        with (
            sdk.failures(module, time),
            self._clients.get().messages.with_streaming_response.create(
                model=self.model,
                messages=[{"role": "user", "content": question.text}],
                max_tokens=question.max_tokens,
                stream=True,
                timeout=time.left(self._silence),
                **more,
            ) as response,
            time.holds(response.http_response),
        ):
            for event in sdk.events(response.iter_bytes()):
                kind = event.get("type")
                if kind == "message_start":
                    yield Used(usage_of(counted, event["message"].get("usage") or {}))
                elif kind == "content_block_delta":
                    if text := event["delta"].get("text"):
                        time.begun()
                        yield Text(text)
                elif kind == "message_delta":
                    reason = event["delta"].get("stop_reason") or reason
                    yield Used(usage_of(counted, event.get("usage") or {}))
                    if reason == "refusal":
                        raise BackendFailure("refused", billed=True)
                elif kind == "message_stop":
                    stopped = True
        if not stopped or reason not in WHOLE:
            raise BackendFailure("cut_short", retry=True, billed=True)
        yield Finished(reason)

    def close(self) -> None:
        """Close the connections of this process."""
        self._clients.close()


def usage_of(counted: dict[str, int], given: dict[str, t.Any]) -> Usage:
    """Return the tokens so far; Anthropic counts what came from its cache beside the input's.

    :param counted: Totals by name, which later events overwrite.
    """
    counted |= {name: int(given[name]) for name in COUNTS if given.get(name) is not None}
    taken, made, cached, written = (counted.get(name, 0) for name in COUNTS)
    return Usage(taken, made, cached, written)
