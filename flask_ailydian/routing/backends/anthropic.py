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
        module = sdk.load("anthropic")
        more: dict[str, t.Any] = {"system": question.prompt} if question.prompt else {}
        with sdk.failures(module, deadline):
            stream = self._clients.get().messages.create(
                model=self.model,
                messages=[{"role": "user", "content": question.text}],
                max_tokens=question.max_tokens,
                stream=True,
                timeout=sdk.seconds_left(deadline, self._silence),
                **more,
            )
            counted: dict[str, int] = {}
            reason, stopped = None, False
            with stream, sdk.cut_off(stream.response, deadline):
                for event in stream:
                    if event.type == "message_start":
                        yield Used(_usage(counted, event.message.usage))
                    elif event.type == "content_block_delta":
                        text = getattr(event.delta, "text", None)
                        if text:
                            yield Text(text)
                    elif event.type == "message_delta":
                        reason = event.delta.stop_reason or reason
                        yield Used(_usage(counted, event.usage))
                        if reason == "refusal":
                            raise BackendFailure("refused", billed=True)
                    elif event.type == "message_stop":
                        stopped = True
        if not stopped or reason not in WHOLE:
            raise BackendFailure("cut_short", retry=True, billed=True)
        yield Finished(reason)


def _usage(counted: dict[str, int], given: t.Any) -> Usage:
    """Anthropic counts what came from its cache beside the input's tokens; counts are totals."""
    for name in COUNTS:
        value = getattr(given, name, None)
        if value is not None:
            counted[name] = value
    taken, made, cached, written = (counted.get(name, 0) for name in COUNTS)
    return Usage(taken, made, cached, written)
