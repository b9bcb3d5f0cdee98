"""OpenAI's chat completions, and every server that speaks them."""

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

WHOLE = frozenset({"stop", "length"})


class OpenAIBackend:
    """One model behind ``/chat/completions``.

    :param url: Of a compatible server; empty for OpenAI's own.
    :param silence: Seconds without a byte after which an attempt is given up.
    """

    name = "openai"

    def __init__(self, key: str, model: str, *, url: str = "", silence: float = 8.0) -> None:
        self.model = model
        self._url = url
        self._silence = silence
        self._clients = sdk.PerProcess(
            # Retries are ours: the SDK's own know no deadline.
            lambda: sdk.load("openai").OpenAI(api_key=key, base_url=url or None, max_retries=0)
        )

    def attempt(self, question: Question, deadline: float) -> c.Iterator[Event]:
        """Ask once, as a stream: only a stream shows that it was cut."""
        module = sdk.load("openai")
        messages = [{"role": "user", "content": question.text}]
        if question.prompt:
            messages.insert(0, {"role": "system", "content": question.prompt})
        # Compatible servers know the older name alone.
        limit = "max_tokens" if self._url else "max_completion_tokens"
        with sdk.failures(module, deadline):
            stream = self._clients.get().chat.completions.create(
                model=self.model,
                messages=messages,
                stream=True,
                stream_options={"include_usage": True},
                timeout=sdk.seconds_left(deadline, self._silence),
                **{limit: question.max_tokens},
            )
            reason = None
            with stream, sdk.cut_off(stream.response, deadline):
                for chunk in stream:
                    if chunk.usage is not None:
                        yield Used(_usage(chunk.usage))
                    for choice in chunk.choices[:1]:
                        reason = choice.finish_reason or reason
                        refused = getattr(choice.delta, "refusal", None)
                        if refused or reason == "content_filter":
                            raise BackendFailure("refused", billed=True)
                        if choice.delta.content:
                            yield Text(choice.delta.content)
        if reason not in WHOLE:
            raise BackendFailure("cut_short", retry=True, billed=True)
        yield Finished(reason)


def _usage(given: t.Any) -> Usage:
    """OpenAI counts what came from its cache inside the prompt's tokens."""
    details = getattr(given, "prompt_tokens_details", None)
    cached = getattr(details, "cached_tokens", None) or 0
    return Usage(max(given.prompt_tokens - cached, 0), given.completion_tokens, cached)
