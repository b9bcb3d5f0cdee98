"""``<ailydian-panel>`` in a real browser: a real model, real files, a real database."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from browser.conftest import _live
from browser.conftest import _serve
from browser.conftest import fits
from browser.conftest import Site
from browser.parts import BROKEN
from browser.parts import dicom
from browser.parts import hand_over
from browser.parts import hear
from browser.parts import heard
from browser.parts import heavy_picture
from browser.parts import mount
from browser.parts import picture
from browser.parts import row
from browser.parts import slow
from browser.parts import until
from browser.parts import wide_picture

from flask_ailydian.demo import NAME

FAILED = "Failed to load resource"


@pytest.fixture
def panel(visit: t.Any) -> t.Callable[..., tuple[t.Any, t.Any]]:
    def make(attributes: dict[str, str] | None = None, **options: t.Any) -> tuple[t.Any, t.Any]:
        page = visit("/try", **options)
        return page, mount(page, "ailydian-panel", **(attributes or {"model": NAME}))

    return make


def give(element: t.Any, *files: dict[str, t.Any]) -> None:
    element.locator("input[type=file]").set_input_files(list(files))
    element.locator('[part~="run"]:not([disabled])').wait_for()


def run(element: t.Any) -> None:
    element.locator('[part~="run"]').click()


def test_from_the_upload_to_the_answer(panel: t.Any, site: Site) -> None:
    page, element = panel()
    assert "Not for diagnosis" in element.locator('[part="limits"]').inner_text()
    assert element.locator('[part~="run"]').is_disabled()
    give(element, picture())
    assert element.locator("img").get_attribute("alt")
    run(element)
    element.locator('[part="prediction"]').wait_for()
    (told,) = heard(page, "prediction")
    answer = told["answer"]
    assert element.locator('[part="prediction"]').inner_text() == answer["prediction"]
    assert element.locator('[part="confidence"]').inner_text() == answer["confidence"]
    bars = element.locator('[part="probabilities"] li')
    assert bars.count() == len(answer["probabilities"]) == 3
    listed = [float(text.rsplit("\n", 1)[-1].rstrip("%")) for text in bars.all_inner_texts()]
    assert listed == sorted(listed, reverse=True)
    widths = element.locator('[part="probabilities"] [part="bar"]').evaluate_all(
        "bars => bars.map(b => b.offsetWidth / b.parentNode.offsetWidth * 100)"
    )
    assert widths == pytest.approx(listed, abs=1)
    found = row(site, "pytorch_inference_logs", "id", answer["id"])
    assert found is not None and found["status"] == "success"
    assert element.evaluate("node => node.answer.id") == answer["id"]
    assert answer["prediction"] in element.get_by_role("status").inner_text()


def test_the_heat_map_lies_where_the_model_looked(panel: t.Any) -> None:
    page, element = panel({"model": NAME, "explain": ""})
    give(element, wide_picture())
    run(element)
    canvas = element.locator("canvas")
    canvas.wait_for()
    (told,) = heard(page, "prediction")
    assert told["answer"]["explanation"]["frame"]["fit"] == "cover"
    # The model saw the square in the middle of 640 by 400.
    map_, image = canvas.bounding_box(), element.locator("img").bounding_box()
    assert map_["height"] == pytest.approx(image["height"], abs=1)
    assert map_["width"] == pytest.approx(image["height"], abs=1)
    assert map_["x"] - image["x"] == pytest.approx((image["width"] - map_["width"]) / 2, abs=1)
    painted = canvas.evaluate(
        "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v) => v > 0)"
    )
    assert painted
    slider = element.get_by_role("slider", name="Opacity")
    before = float(canvas.evaluate("c => c.style.opacity"))
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert float(canvas.evaluate("c => c.style.opacity")) > before
    slider.fill("0")
    assert float(canvas.evaluate("c => c.style.opacity")) == 0


def test_a_file_that_is_no_picture_is_refused_in_both_languages(panel: t.Any, watch: t.Any) -> None:
    watch.expect(FAILED)
    page, element = panel()
    give(element, BROKEN)
    run(element)
    box = element.get_by_role("alert")
    box.wait_for()
    assert box.get_attribute("data-error") == "invalid_image"
    assert heard(page, "error")[0]["status"] == 400
    # This host puts Retry-After on every answer; trying the same file again makes no sense.
    assert "makes sense" not in box.inner_text()
    element.evaluate("node => { node.lang = 'tr' }")
    assert "Görüntü okunamıyor." in element.get_by_role("alert").inner_text()
    # The same element goes on with a picture that is one.
    give(element, picture())
    run(element)
    element.locator('[part="prediction"]').wait_for()
    assert element.locator('[part="confidence"]').inner_text().startswith("%")


def test_a_text_file_never_leaves_the_page(panel: t.Any) -> None:
    page, element = panel()
    asked: list[str] = []
    # The page's own icon may still be on its way; what carries something off is a POST.
    page.on("request", lambda r: asked.append(r.url) if r.method != "GET" else None)
    hand_over(element, "drop", {"name": "a.txt", "mimeType": "text/plain", "buffer": b"words"})
    box = element.get_by_role("alert")
    box.wait_for()
    assert box.get_attribute("data-error") == "unsupported_media_type"
    assert asked == []


def test_a_server_that_is_gone_is_said_and_can_be_retried(
    panel: t.Any, watch: t.Any, tmp_path: Path
) -> None:
    watch.expect(FAILED)
    _live(tmp_path, "--bare")
    with _serve(tmp_path) as own:
        page, element = panel(at=own)
        give(element, picture())
    run(element)
    box = element.get_by_role("alert")
    box.wait_for()
    assert box.get_attribute("data-error") == "offline"
    assert heard(page, "error")[0]["error"] == "offline"
    box.get_by_role("button").click()
    hear(page, "error", 2)
    # What was chosen is still there.
    assert element.locator("img").count() == 1


def test_an_upload_shows_how_far_it_is_and_can_be_cancelled(panel: t.Any) -> None:
    page, element = panel()
    give(element, heavy_picture())
    with slow(page, uploadThroughput=400_000):
        element.locator('[part~="run"]').press("Enter")
        bar = element.get_by_role("progressbar")
        until(page, lambda: int(bar.get_attribute("aria-valuenow")) > 0)
        assert int(bar.get_attribute("aria-valuenow")) < 100
        assert element.evaluate("node => node.busy")
        # The keyboard's place went from the button that is gone to the one that came.
        page.keyboard.press("Enter")
        element.get_by_text("Cancelled.").first.wait_for()
        assert not element.evaluate("node => node.busy")
        assert page.evaluate("window.heard") == []
    run(element)
    element.locator('[part="prediction"]').wait_for()


@pytest.mark.parametrize("kind", ["paste", "drop"])
def test_pictures_are_pasted_and_dropped(panel: t.Any, kind: str) -> None:
    _, element = panel()
    hand_over(element, kind, picture())
    element.locator("img").wait_for()
    run(element)
    element.locator('[part="prediction"]').wait_for()


def test_dicom_has_no_preview_and_its_name_stays_here(panel: t.Any) -> None:
    page, element = panel({"model": NAME, "explain": ""})
    give(element, dicom("yilmaz-ayse.dcm"))
    assert "DICOM" in element.locator(".tile").inner_text()
    page.evaluate(
        """() => {
          const { send } = XMLHttpRequest.prototype;
          XMLHttpRequest.prototype.send = function (body) {
            window.sent = [...body].map(([name, value]) => [name, value.name ?? value]);
            return send.call(this, body);
          };
        }"""
    )
    run(element)
    element.locator('[part="prediction"]').wait_for()
    sent = page.evaluate("window.sent")
    assert sent == [["model_name", NAME], ["explain", "true"], ["image", "picture"]]
    assert "yilmaz" not in element.evaluate("node => node.shadowRoot.textContent")
    # Without a picture to lie on, the map stands alone.
    assert element.locator(".alone canvas").bounding_box()["width"] > 100


def test_the_keyboard_is_enough(panel: t.Any) -> None:
    page, element = panel({"explain": ""})
    # From the start: the browser takes a moment until it hands its dialogs over.
    page.on("filechooser", lambda chooser: chooser.set_files([picture()]))
    element.locator("select").wait_for()
    page.locator("h1").evaluate("node => { node.tabIndex = -1; node.focus() }")

    def step_to(name: str) -> None:
        for _ in range(8):
            page.keyboard.press("Tab")
            focused = element.evaluate("node => node.shadowRoot.activeElement?.textContent ?? ''")
            if name in focused:
                return
        raise AssertionError(f"no way to {name}")

    page.keyboard.press("Tab")
    assert element.evaluate("node => node.shadowRoot.activeElement.tagName") == "SELECT"
    step_to("choose a file")
    page.keyboard.press("Enter")
    element.locator("img").wait_for()
    step_to("Analyse")
    page.keyboard.press("Enter")
    element.locator('[part="prediction"]').wait_for()
    assert element.evaluate("node => node.shadowRoot.activeElement.textContent") == "Analyse"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert element.locator('[part="prediction"]').count() == 0
    focused = element.evaluate("node => node.shadowRoot.activeElement.textContent")
    assert focused == "choose a file"


def test_many_pictures_each_have_their_answer(panel: t.Any, watch: t.Any) -> None:
    watch.expect(FAILED)
    page, element = panel({"model": NAME, "multiple": ""})
    hand_over(element, "drop", picture("a.png"), BROKEN, wide_picture())
    element.get_by_role("button", name="Analyse 3 pictures").click()
    until(page, lambda: not element.evaluate("node => node.busy"))
    assert len(heard(page, "prediction")) == 2 and len(heard(page, "error")) == 1
    element.get_by_text("2 answered, 1 failed.").wait_for(state="attached")
    overall = element.get_by_role("progressbar")
    assert overall.get_attribute("aria-valuenow") == overall.get_attribute("aria-valuemax") == "3"
    rows = element.locator(".queue button")
    rows.nth(1).click()
    assert element.get_by_role("alert").get_attribute("data-error") == "invalid_image"
    rows.nth(0).press("Enter")
    assert element.locator('[part="prediction"]').count() == 1
    assert rows.nth(0).get_attribute("aria-current") == "true"


def test_models_come_from_the_registry_or_from_the_host(panel: t.Any, watch: t.Any) -> None:
    page, element = panel({"lang": "tr"})
    element.locator("select").wait_for()
    offered = element.locator("option").all_inner_texts()
    assert NAME in offered
    # What the host says takes the place of what the registry says; objects need no JSON.
    element.evaluate("node => { node.models = [{name: 'own', task: 'text-classification'}] }")
    assert element.locator('[part="model"]').inner_text() == "own"
    element.locator("textarea").wait_for()
    element.evaluate("node => { node.models = null }")
    element.locator("select").wait_for()
    # Whoever may not read the registry is told so.
    watch.expect(FAILED)
    page, element = panel({"lang": "tr"}, who=None)
    box = element.get_by_role("alert")
    box.wait_for()
    assert "Önce oturum açın." in box.inner_text()
    # A name is enough to ask all the same.
    element.evaluate(f"node => {{ node.model = {json.dumps(NAME)} }}")
    give(element, picture())
    run(element)
    element.locator('[part="prediction"]').wait_for()


def test_a_model_of_text_is_given_a_text(panel: t.Any) -> None:
    page, element = panel({"model": "help-desk-demo"})
    area = element.locator("textarea")
    area.fill("otopark var mı")
    assert element.get_by_role("checkbox").count() == 0
    run(element)
    element.locator('[part="prediction"]').wait_for()
    (told,) = heard(page, "prediction")
    assert told["text"] == "otopark var mı"
    # Thirty classes: the ten most probable are listed.
    assert element.locator('[part="probabilities"] li').count() == 11


def test_properties_have_attributes_as_twins(panel: t.Any) -> None:
    _, element = panel()
    found = element.evaluate(
        """(node) => {
          node.modelVersion = "v9"; node.explain = true; node.topK = 2; node.userId = "p-7";
          const first = node.outerHTML;
          node.setAttribute("top-k", "3"); node.removeAttribute("explain"); node.userId = null;
          return [first, node.topK, node.explain, node.userId, node.hasAttribute("user-id")];
        }"""
    )
    for part in ('model-version="v9"', 'explain=""', 'top-k="2"', 'user-id="p-7"'):
        assert part in found[0]
    assert found[1:] == [3, False, None, False]


def test_what_the_host_set_goes_with_the_request(panel: t.Any, site: Site) -> None:
    page, element = panel({"model": NAME, "top-k": "2", "user-id": "p-7", "csrf-token": "t0ken"})
    give(element, picture())
    with page.expect_request("**/inference") as sent:
        run(element)
    element.locator('[part="prediction"]').wait_for()
    assert sent.value.headers["x-csrftoken"] == "t0ken"
    (told,) = heard(page, "prediction")
    assert len(told["answer"]["probabilities"]) == 2
    found = row(site, "pytorch_inference_logs", "id", told["answer"]["id"])
    assert found is not None and found["user_id"] == "p-7"
    tokens = element.evaluate(
        """(node) => {
          node.csrfToken = null;
          node.csrfHeader = "X-Host";
          const meta = document.createElement("meta");
          meta.name = "csrf-token";
          meta.content = "of the page";
          document.head.append(meta);
          return [new URL(location.href), new URL("https://elsewhere.example/")].map(
            (url) => node.headersFor(url)["X-Host"] ?? null);
        }"""
    )
    # Another origin never gets the host's token.
    assert tokens == ["of the page", None]


def test_the_routes_are_found_under_any_prefix(
    panel: t.Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLASK_AILYDIAN_URL_PREFIX", "/clinic/ml")
    _live(tmp_path, "--bare")
    with _serve(tmp_path) as own:
        page = panel(at=own)[0]
        element = mount(page, "ailydian-panel", model=NAME)
        give(element, picture())
        with page.expect_response("**/clinic/ml/inference") as answered:
            run(element)
        assert answered.value.status == 200
        element.locator('[part="prediction"]').wait_for()


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_state_is_accessible_and_fits(
    panel: t.Any, assert_accessible: t.Any, watch: t.Any, width: int, dark: bool
) -> None:
    watch.expect(FAILED)
    page, element = panel({"explain": "", "multiple": ""}, width=width, dark=dark)
    element.locator("select").wait_for()
    assert_accessible(page)
    give(element, picture(), BROKEN, dicom("x.dcm"))
    assert_accessible(page)
    run(element)
    until(page, lambda: not element.evaluate("node => node.busy"))
    assert len(heard(page, "prediction")) == 2 and len(heard(page, "error")) == 1
    for i in range(3):
        element.locator(".queue button").nth(i).click()
        assert_accessible(page)
        assert fits(page)
