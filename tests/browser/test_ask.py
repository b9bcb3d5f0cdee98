"""``<ailydian-ask>`` in a real browser, against a real router."""

from __future__ import annotations

import typing as t

import pytest
from browser.conftest import fits
from browser.conftest import Site
from browser.parts import hear
from browser.parts import heard
from browser.parts import mount
from browser.parts import row
from browser.parts import slow

SIMPLE = "Randevu almak istiyorum"
COMPLEX = (
    "Hasta verilerini analiz ederek COVID-19, pnömoni ve normal akciğer dokusu "
    "arasındaki farkları karşılaştır"
)


@pytest.fixture
def ask(visit: t.Any) -> t.Callable[..., tuple[t.Any, t.Any]]:
    def make(attributes: dict[str, str] | None = None, **options: t.Any) -> tuple[t.Any, t.Any]:
        page = visit("/try", **options)
        return page, mount(page, "ailydian-ask", **(attributes or {"domain": "chat"}))

    return make


def put(element: t.Any, text: str) -> None:
    element.locator("textarea").fill(text)
    element.locator("textarea").press("Enter")


def test_a_simple_question_is_answered_locally_and_rated(ask: t.Any, site: Site) -> None:
    page, element = ask()
    put(element, SIMPLE)
    element.locator('[part="facts"]').wait_for()
    (told,) = heard(page, "answer")
    answer = told["answer"]
    assert element.locator('[part="answer"]').inner_text() == answer["answer"] != ""
    badge = element.locator("[data-backend]")
    assert badge.get_attribute("data-backend") == answer["backend"] == "onnx"
    assert "a simple question" in element.locator('[part="backend"]').inner_text()
    assert element.locator("textarea").input_value() == ""
    element.locator("summary").click()
    why = element.locator('[part="why"]').inner_text()
    assert "10 points" in why and "3 words" in why and answer["id"] in why
    element.get_by_role("button", name="Good answer").click()
    element.locator('[part="rated"]').get_by_text("Thank you").wait_for()
    assert heard(page, "rating") == [{"id": answer["id"], "rating": 5}]
    # The last word counts, here and in the database.
    element.get_by_role("button", name="Bad answer").click()
    hear(page, "rating", 2)
    found = row(site, "pytorch_feedback", "id", answer["id"])
    assert found is not None and found["rating"] == 1
    pressed = element.get_by_role("button", name="Bad answer").get_attribute("aria-pressed")
    assert pressed == "true"


def test_a_paid_answer_streams_and_says_what_it_cost(ask: t.Any) -> None:
    page, element = ask()
    element.evaluate(
        """(node) => {
          window.seen = [];
          new MutationObserver(() => {
            const said = node.shadowRoot.querySelector(".said");
            if (said) window.seen.push(said.textContent);
          }).observe(node.shadowRoot, { subtree: true, childList: true, characterData: true });
        }"""
    )
    with slow(page, downloadThroughput=1500):
        put(element, COMPLEX)
        element.locator('[part="facts"]').wait_for()
    (told,) = heard(page, "answer")
    assert told["answer"]["backend"] == "3rdparty"
    assert told["answer"]["cost"]["actual"] > 0
    assert element.locator("[data-backend]").inner_text() == "Paid service"
    whole = told["answer"]["answer"]
    parts = [text for text in page.evaluate("window.seen") if 0 < len(text) < len(whole)]
    assert parts and all(whole.startswith(text) for text in parts)


def test_an_answer_can_be_stopped(ask: t.Any) -> None:
    page, element = ask()
    with slow(page, latency=60_000):
        put(element, COMPLEX)
        assert element.evaluate("node => node.busy")
        element.get_by_role("button", name="Stop").click()
        element.get_by_text("Stopped.").last.wait_for()
        assert page.evaluate("window.heard") == []
    put(element, SIMPLE)
    element.locator('[part="facts"]').wait_for()


def test_enter_sends_and_shift_enter_writes_on(ask: t.Any) -> None:
    page, element = ask()
    area = element.locator("textarea")
    area.press("Enter")
    assert element.locator('[part="turn"]').count() == 0
    area.press_sequentially("otopark")
    area.press("Shift+Enter")
    area.press_sequentially("var mı")
    assert area.input_value() == "otopark\nvar mı"
    area.press("Enter")
    element.locator('[part="facts"]').wait_for()
    assert heard(page, "answer")[0]["query"] == "otopark\nvar mı"
    # A second question stands below the first.
    put(element, SIMPLE)
    hear(page, "answer", 2)
    assert element.locator('[part="turn"]').count() == 2


def test_what_the_server_refuses_is_said_in_turkish(ask: t.Any, watch: t.Any) -> None:
    watch.expect("Failed to load resource")
    page, element = ask({"domain": "chat", "lang": "tr"})
    element.evaluate("node => { node.endpoint = '/api/pytorch/nothing' }")
    put(element, SIMPLE)
    box = element.get_by_role("alert")
    box.wait_for()
    assert "Burada bir şey yok." in box.inner_text()
    assert heard(page, "error")[0]["query"] == SIMPLE
    element.evaluate("node => { node.endpoint = null }")
    box.get_by_role("button", name="Yeniden dene").click()
    element.locator('[part="facts"]').wait_for()
    assert "basit soru" in element.locator('[part="backend"]').inner_text()


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_questions_and_answers_are_accessible_and_fit(
    ask: t.Any, assert_accessible: t.Any, width: int, dark: bool
) -> None:
    page, element = ask(width=width, dark=dark)
    put(element, SIMPLE)
    hear(page, "answer")
    put(element, COMPLEX + " " + "çok" * 60)
    hear(page, "answer", 2)
    for summary in element.locator("summary").all():
        summary.click()
    element.get_by_role("button", name="Good answer").first.click()
    element.locator('[part="rated"]').get_by_text("Thank you").wait_for()
    assert_accessible(page)
    assert fits(page)
