"""JSON as strict as it should be on the way in."""

from __future__ import annotations

import json
import re
import typing as t

from ..errors import InvalidJSON

MAX_DEPTH = 32
MAX_DIGITS = 400

# The closing quote is optional, so that a string without one is not tried again from every escape.
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_NOT_BRACKETS = bytes(sorted(set(range(256)) - set(b"[]{}")))
_SURROGATE = re.compile("[\ud800-\udfff]")


def loads(data: bytes) -> t.Any:
    """Parse UTF-8 JSON: no duplicate keys, no NaN, no lone surrogates, at most 32 levels deep.

    :raises InvalidJSON: in one sentence that repeats nothing of the content.
    """
    if _depth(data) > MAX_DEPTH:
        raise InvalidJSON(f"The JSON is nested deeper than {MAX_DEPTH} levels.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidJSON("The body is not UTF-8.") from error
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_float,
            parse_int=_int,
        )
    except InvalidJSON:
        raise
    except (ValueError, RecursionError) as error:
        raise InvalidJSON("The body is not valid JSON.") from error
    # Only an escape can bring in what UTF-8 cannot hold.
    if b"\\u" in data:
        _check_strings(value)
    return value


def _depth(data: bytes) -> int:
    """Return how deep the brackets outside strings go, or one more than is allowed."""
    brackets = _STRING.sub(b"", data).translate(None, _NOT_BRACKETS)
    depth = deepest = 0
    for bracket in brackets:
        depth += 1 if bracket in b"[{" else -1
        if depth > deepest:
            deepest = depth
            if deepest > MAX_DEPTH:
                break
    return deepest


def _object(pairs: list[tuple[str, t.Any]]) -> dict[str, t.Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise InvalidJSON("An object of the JSON names a key twice.")
    return result


def _constant(name: str) -> t.NoReturn:
    raise InvalidJSON("NaN and Infinity are no JSON.")


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise InvalidJSON("The JSON holds a number that is too large.")
    return value


def _int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise InvalidJSON("The JSON holds a number with too many digits.")
    return int(text)


def _check_strings(value: t.Any) -> None:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            if _SURROGATE.search(item) or "\0" in item:
                raise InvalidJSON("The JSON holds text that is not valid Unicode, or a NUL.")
        elif isinstance(item, dict):
            waiting.extend(item)
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
