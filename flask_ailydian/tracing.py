"""Our stages as spans of the host's OpenTelemetry, where ``opentelemetry-api`` is installed."""

from __future__ import annotations

import contextlib
import functools
import importlib
import typing as t

#: It holds nothing, so that one serves all.
NOTHING = contextlib.nullcontext()


@functools.cache
def _tracer() -> t.Any:
    try:
        trace = importlib.import_module("opentelemetry.trace")
    except ImportError:
        return None
    # A tracer of the API stands for whatever provider the host sets, now or later.
    return trace, trace.get_tracer("flask_ailydian")


def span(name: str, **attributes: str) -> contextlib.AbstractContextManager[t.Any]:
    """Return a span to do something in; nothing without OpenTelemetry.

    :param attributes: Names of models and the like, never anything of an input.
    """
    found = _tracer()
    if found is None:
        return NOTHING
    trace, tracer = found
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        # Nobody collects spans: the API alone would still make and carry empty ones.
        return NOTHING
    given = {f"ailydian.{key}": value for key, value in attributes.items()}
    # What an exception says may quote an input: a span says that it failed, and no more.
    return t.cast(
        "contextlib.AbstractContextManager[t.Any]",
        tracer.start_as_current_span(
            name, attributes=given, record_exception=False, set_status_on_exception=False
        ),
    )
