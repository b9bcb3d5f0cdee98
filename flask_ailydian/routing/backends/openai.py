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
        module, time = sdk.load("openai"), sdk.Time(question, deadline)
        messages = [{"role": "user", "content": question.text}]
        if question.prompt:
            messages.insert(0, {"role": "system", "content": question.prompt})
        # Compatible servers know the older name alone.
        limit = "max_tokens" if self._url else "max_completion_tokens"
        reason = None
        with (
            sdk.failures(module, time),
            self._clients.get().chat.completions.with_streaming_response.create(
                model=self.model,
                messages=messages,
                stream=True,
                stream_options={"include_usage": True},
                timeout=time.left(self._silence),
                **{limit: question.max_tokens},
            ) as response,
            time.holds(response.http_response),
        ):
            for event in sdk.events(response.iter_bytes()):
                if event.get("usage"):
                    yield Used(usage_of(event["usage"]))
                for choice in (event.get("choices") or [])[:1]:
                    delta = choice.get("delta") or {}
                    reason = choice.get("finish_reason") or reason
                    if delta.get("refusal") or reason == "content_filter":
                        raise BackendFailure("refused", billed=True)
                    if delta.get("content"):
                        time.begun()
                        yield Text(delta["content"])
        if reason not in WHOLE:
            raise BackendFailure("cut_short", retry=True, billed=True)
        yield Finished(reason)

    def close(self) -> None:
        """Close the connections of this process."""
        self._clients.close()


def usage_of(given: dict[str, t.Any]) -> Usage:
    """Return the tokens; OpenAI counts what came from its cache inside the prompt's."""
    cached = int((given.get("prompt_tokens_details") or {}).get("cached_tokens") or 0)
    prompt, made = int(given["prompt_tokens"]), int(given["completion_tokens"])
    return Usage(max(prompt - cached, 0), made, cached)
