"""What a text model says, and from which confidence on: the recipe in its row."""

from __future__ import annotations

import typing as t

from .engine import tokens
from .engine.files import sha256_of
from .errors import ValidationFailed

CLASSIFIES, EMBEDS, WRITES = "text-classification", "text-embedding", "text-generation"
#: Tasks whose one input is a text.
TEXT_TASKS = (CLASSIFIES, "query-routing", EMBEDS)
#: Where a model is asked that takes no text as it is, for whoever sends it one.
ELSEWHERE = {WRITES: "; a text is answered at /query"}
#: What the recipe of a text model may hold.
MEMBERS = {"answers", "threshold", "out_of_scope", "knowledge"}
MEMBERS |= {"tokenizer", "max_tokens", "pooling"}
#: What that of a model that writes may hold.
WRITING = {"tokenizer", "end", "context", "template", "system", "max_tokens", "temperature"}
WRITING |= {"threshold", "out_of_scope", "top_p", "stop"}
MOST_STOPS = 4


def check(task: str, found: dict[str, t.Any], tokenizer: bytes | None) -> dict[str, t.Any] | None:
    """Return the recipe of a text model as its row holds it.

    :raises ValidationFailed: for what it may not hold.
    """
    found = {key: value for key, value in found.items() if key not in ("kind", "tokenizer")}
    if tokenizer is not None:
        tokens.Writer(tokenizer) if task == WRITES else tokens.Tokens(tokenizer)
        found["tokenizer"] = sha256_of(tokenizer)
    problem = _of_both(found)
    problem = problem or (_of_writing(found) if task == WRITES else _of_answers(found))
    if problem:
        raise ValidationFailed(fields={"preprocessing": [problem]})
    return {"kind": "text"} | found if found else None


def _of_both(found: dict[str, t.Any]) -> str | None:
    threshold = found.get("threshold", 0)
    if not _is_count(found.get("max_tokens", 1)):
        return "max_tokens is a whole number."
    if not _is_number(threshold):
        return "The threshold is a number."
    if not 0 <= threshold <= 1 or not isinstance(found.get("out_of_scope", ""), str):
        return "The threshold is between 0 and 1, out_of_scope a label."
    return None


def _of_answers(found: dict[str, t.Any]) -> str | None:
    answers = found.get("answers", {})
    if set(found) - MEMBERS:
        return f"A text model has {', '.join(sorted(MEMBERS))}."
    if found.get("pooling", "mean") not in ("mean", "first"):
        return "The pooling is `mean` or `first`."
    if not _is_knowledge(found.get("knowledge", [])):
        return "The knowledge is a list of pairs, question and answer."
    if not isinstance(answers, dict) or not all(isinstance(x, str) for x in answers.values()):
        return "The answers are texts by label."
    return None


def _of_writing(found: dict[str, t.Any]) -> str | None:
    if set(found) - WRITING:
        return f"A model that writes has {', '.join(sorted(WRITING))}."
    end, template = found.get("end"), found.get("template")
    if not isinstance(end, list) or not end or not all(type(x) is int and x >= 0 for x in end):
        return "`end` lists the tokens that end an answer; the model's folder does not say them."
    if not _is_count(found.get("context", 1)):
        return "context is a whole number."
    if template is not None and not (
        isinstance(template, list)
        and len(template) == 3
        and all(isinstance(part, str) for part in template)
    ):
        return "The template is three texts: before, between and after."
    if not isinstance(found.get("system", ""), str):
        return "system is a text."
    temperature = found.get("temperature", 0)
    if not _is_number(temperature) or not 0 <= temperature <= 2:
        return "The temperature is between 0 and 2."
    top_p = found.get("top_p", 1)
    if not _is_number(top_p) or not 0 < top_p <= 1:
        return "top_p is above 0 and at most 1."
    stop = found.get("stop", ["."])
    if not isinstance(stop, list) or not all(isinstance(x, str) and x for x in stop):
        return "`stop` lists the texts before which an answer ends; none of them is empty."
    if len(stop) > MOST_STOPS:
        return f"`stop` lists at most {MOST_STOPS} texts."
    return None


def _is_count(value: t.Any) -> bool:
    return type(value) is int and value >= 1


def _is_number(value: t.Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_knowledge(pairs: t.Any) -> bool:
    return isinstance(pairs, list) and all(
        isinstance(pair, list | tuple)
        and len(pair) == 2
        and all(isinstance(text, str) and text.strip() for text in pair)
        for pair in pairs
    )
