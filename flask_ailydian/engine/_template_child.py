"""The process that renders a chat template once, so that no template runs while people wait."""

from __future__ import annotations

import importlib
import json
import typing as t

from ._probe_child import answer
from .graphs import Refused

#: What stands for the two texts while the template is rendered.
SYSTEM, QUERY = "ailydian-system-0f3a", "ailydian-query-7c1d"


def main() -> t.NoReturn:
    """Answer the one request and leave."""
    answer({"template": _template})


def _template(data: bytes, request: dict[str, t.Any]) -> bytes:
    sandbox = importlib.import_module("jinja2.sandbox")
    # As the templates of this field are written: by these rules, and with these words.
    room = sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    room.globals["raise_exception"] = _raise
    room.filters["tojson"] = lambda value, **_: json.dumps(value, ensure_ascii=False)
    try:
        template = room.from_string(data.decode("utf-8"))
    except Exception as error:
        raise Refused("template") from error
    query = {"role": "user", "content": QUERY}
    try:
        parts = _parts(template, request, [{"role": "system", "content": SYSTEM}, query])
    except Exception:
        # Some models know no system: what they are told stands before the query.
        parts = None
    if parts is None:
        try:
            whole = _render(template, request, [query])
        except Exception as error:
            raise Refused("template") from error
        first, found, last = whole.partition(QUERY)
        if not found:
            raise Refused("template")
        parts = [first, "\n\n", last]
    return json.dumps(parts).encode()


def _raise(message: str) -> t.NoReturn:
    raise ValueError(message)


def _render(template: t.Any, request: dict[str, t.Any], messages: list[dict[str, str]]) -> str:
    return str(template.render(messages=messages, add_generation_prompt=True, **request["words"]))


def _parts(
    template: t.Any, request: dict[str, t.Any], messages: list[dict[str, str]]
) -> list[str] | None:
    first, found, rest = _render(template, request, messages).partition(SYSTEM)
    between, also, last = rest.partition(QUERY)
    return [first, between, last] if found and also else None
