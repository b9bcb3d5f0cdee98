"""The paid backends of a deployment, in the order in which they are asked."""

from __future__ import annotations

import collections.abc as c
import functools
import importlib.util
import typing as t

from ..settings import Settings
from .backends.anthropic import AnthropicBackend
from .backends.base import PaidBackend
from .backends.openai import OpenAIBackend
from .policy import THIRD_PARTY

Make = c.Callable[[], PaidBackend]

SHIPPED: dict[str, c.Callable[..., PaidBackend]] = {
    "openai": OpenAIBackend,
    "anthropic": AnthropicBackend,
}
#: What may be said of each backend in ``AILYDIAN_THIRD_PARTY_FALLBACKS``.
MEMBERS = ("backend", "model", "key", "url")
#: Characters of a name; it is the key of a row where breakers are shared.
LONGEST_NAME = 64


@functools.cache
def _installed(sdk: str) -> bool:
    return importlib.util.find_spec(sdk) is not None


class Provider:
    """One paid backend: whom it asks for what, and whether it can be asked at all.

    :param name: Its own, by which its breaker and the records know it.
    :param backend: An SDK's name, or one that the host registered.
    :param label: What answers call it; the contract's ``3rdparty`` where there is but one.
    :param makers: The host's own backends by name.
    """

    def __init__(
        self,
        name: str,
        label: str,
        makers: c.Mapping[str, Make],
        *,
        backend: str,
        model: str = "",
        key: str = "",
        url: str = "",
        silence: float,
    ) -> None:
        self.name = name
        self.label = label
        self.model = model
        self.backend = backend
        self._makers = makers
        self._key = key
        self._url = url
        self._silence = silence
        self._made: PaidBackend | None = None

    def absence(self) -> str | None:
        """Return why it cannot be asked, or ``None``."""
        if not self.backend:
            return "not_configured"
        if self.backend in self._makers:
            return None
        if self.backend not in SHIPPED:
            return "not_registered"
        if not self._key:
            return "no_key"
        if not self.model:
            return "no_model_named"
        return None if _installed(self.backend) else "sdk_not_installed"

    def get(self) -> PaidBackend:
        """Return the backend, made on first use."""
        if self._made is None and self.backend in self._makers:
            self._made = self._makers[self.backend]()
        elif self._made is None:
            self._made = SHIPPED[self.backend](
                self._key, self.model, url=self._url, silence=self._silence
            )
        return self._made

    def forget(self) -> None:
        """Make it anew for the next query."""
        self._made = None

    def close(self) -> None:
        """Close the connections that this process holds."""
        close = getattr(self._made, "close", None)
        if close is not None:
            close()


def providers_of(settings: Settings, makers: c.Mapping[str, Make]) -> list[Provider]:
    """Return who is asked, in order; the first is there even where nothing is configured.

    :raises RuntimeError: naming what is wrong with the others.
    """
    more = {name: _checked(name, given) for name, given in settings.third_party_fallbacks.items()}
    if more and (not settings.third_party or settings.third_party in more):
        raise RuntimeError(
            "AILYDIAN_THIRD_PARTY_FALLBACKS names who is asked after AILYDIAN_THIRD_PARTY, "
            "each by another name."
        )
    first = {
        "backend": settings.third_party,
        "model": settings.third_party_model,
        "key": settings.third_party_key,
        "url": settings.third_party_url,
    }
    return [
        Provider(
            name,
            f"{THIRD_PARTY}:{name}" if more else THIRD_PARTY,
            makers,
            **{"backend": name} | given,
            silence=settings.third_party_silence_seconds,
        )
        for name, given in {settings.third_party: first, **more}.items()
    ]


def _checked(name: str, given: t.Any) -> dict[str, str]:
    right = isinstance(given, c.Mapping) and all(isinstance(value, str) for value in given.values())
    if not right or not set(given) <= set(MEMBERS) or not 1 <= len(name) <= LONGEST_NAME:
        # Never what was given: there are keys in it.
        raise RuntimeError(
            "AILYDIAN_THIRD_PARTY_FALLBACKS: each backend has a name of at most "
            f"{LONGEST_NAME} characters and the members {', '.join(MEMBERS)}, all of them text."
        )
    return dict(given)
