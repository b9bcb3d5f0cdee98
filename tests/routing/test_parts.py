"""Breakers, redaction, the answer cache, back-off."""

from __future__ import annotations

import threading
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_ailydian.routing import redaction
from flask_ailydian.routing.backends.retries import pause_before
from flask_ailydian.routing.breaker import Breaker
from flask_ailydian.routing.breaker import MemoryStore
from flask_ailydian.routing.breaker import TableStore
from flask_ailydian.routing.cache import AnswerCache


@pytest.fixture(params=["memory", "database"])
def breaker(request: pytest.FixtureRequest, make_app: t.Any) -> t.Iterator[Breaker]:
    app = make_app()
    state = app.extensions["ailydian"]
    store = (
        MemoryStore()
        if request.param == "memory"
        else TableStore(state.audit.database, state.tables)
    )
    with app.app_context():
        yield Breaker(store, threshold=3, seconds=10)


def test_a_breaker_opens_tries_and_closes(breaker: Breaker) -> None:
    for _ in range(2):
        breaker.failed("b", 100)
    assert breaker.allows("b", 100) and breaker.state("b", 100) == "closed"
    breaker.failed("b", 100)
    assert not breaker.allows("b", 109) and breaker.state("b", 109) == "open"
    assert breaker.state("b", 110) == "half-open"
    # One query tries it; the others wait for what becomes of it, or for its patience to end.
    assert breaker.allows("b", 110, patience=5)
    assert not breaker.allows("b", 111, patience=5)
    assert breaker.allows("b", 116, patience=5)
    breaker.failed("b", 117)
    assert not breaker.allows("b", 126) and breaker.allows("b", 127)
    breaker.succeeded("b")
    assert breaker.allows("b", 127) and breaker.state("b", 127) == "closed"
    assert breaker.allows("another", 127)


def test_a_success_starts_the_count_anew(breaker: Breaker) -> None:
    for _ in range(4):
        breaker.failed("b", 1)
        breaker.failed("b", 1)
        breaker.succeeded("b")
    assert breaker.allows("b", 1)


def test_of_many_that_come_at_once_one_tries(make_app: t.Any) -> None:
    app = make_app()
    state = app.extensions["ailydian"]
    with app.app_context():
        shared = Breaker(TableStore(state.audit.database, state.tables), threshold=1, seconds=1)
        shared.failed("b", 100)
    allowed: list[bool] = []

    def work() -> None:
        with app.app_context():
            allowed.append(shared.allows("b", 200))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(allowed) == [False] * 7 + [True]


@given(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True))
def test_pauses_grow_and_are_bounded(first: float, second: float) -> None:
    one = pause_before(1, 0.0, first)
    two = pause_before(2, one, second)
    assert 0.05 < one <= 0.5 and one * 1.1 < two <= 1.0


@pytest.mark.parametrize(
    ("number", "right"), [("10000000146", True), ("10000000147", False), ("01234567890", False)]
)
def test_an_identity_number_is_known_by_its_check_digits(number: str, right: bool) -> None:
    assert redaction.is_tckn(number) is right
    assert ("TCKN" in redaction.redact(f"No: {number}.").counts) is right


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("IBAN TR33 0006 1005 1978 6457 8413 26 ok", "IBAN [IBAN_1] ok"),
        ("tr330006100519786457841326", "[IBAN_1]"),
        ("TR33 0006 1005 1978 6457 8413 27", "TR33 0006 1005 1978 6457 8413 27"),
        ("ara: +90 532 123 45 67", "ara: [PHONE_1]"),
        ("ara: 0(532)1234567", "ara: [PHONE_1]"),
        ("05321234567 ve 05321234567", "[PHONE_1] ve [PHONE_1]"),
        ("yaz: ali.veli@example.com.tr!", "yaz: [EMAIL_1]!"),
        ("500 mg ile 250 mg arasındaki fark", "500 mg ile 250 mg arasındaki fark"),
        ("2026-11-25 tarihinde 14:30", "2026-11-25 tarihinde 14:30"),
    ],
)
def test_what_identifies_is_replaced_and_nothing_else(text: str, left: str) -> None:
    found = redaction.redact(text)
    assert found.text == left and found.restore(left) == text


def test_a_placeholder_that_somebody_typed_is_not_restored_as_another_s() -> None:
    found = redaction.redact("[TCKN_1] 10000000146")
    assert found.text == "[NAME_1] [TCKN_1]" and found.restore(found.text) == "[TCKN_1] 10000000146"


@given(
    st.lists(st.sampled_from(["[TCKN_1]", "[", "]", "[x", "[TCKN_", "metin ", "1]"]), max_size=12),
    st.lists(st.integers(0, 90), max_size=8),
)
def test_pieces_restore_as_the_whole_does(words: list[str], cuts: list[int]) -> None:
    found = redaction.Redacted("", {"[TCKN_1]": "10000000146"})
    text = "".join(words)
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    restorer = redaction.Restorer(found)
    said = [restorer.feed(text[a:b]) for a, b in zip(edges, edges[1:], strict=False)]
    assert "".join(said) + restorer.rest() == found.restore(text)


def test_the_cache_forgets_what_is_old_and_what_is_too_much() -> None:
    cache = AnswerCache(seconds=10, capacity=2)
    cache.put("a", "1", now=0)
    cache.put("b", "2", now=1)
    assert cache.get("a", 9) == "1"
    cache.put("c", "3", now=9)
    assert cache.get("b", 9) is None and cache.get("a", 9) == "1"
    assert cache.get("a", 10) is None
    cache.clear()
    assert cache.get("c", 9) is None
