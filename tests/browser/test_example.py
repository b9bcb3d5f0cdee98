"""The example host's own pages, and the one that shows the three components together."""

from __future__ import annotations

import re
import typing as t

import jinja2
import pytest
from browser.conftest import API
from browser.conftest import fits
from browser.conftest import REPOSITORY
from browser.conftest import Site
from browser.parts import picture

PAGES = ("/", "/login", "/ask", "/try", "/cases", "/nowhere")


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize(("dark", "language"), [(False, "en-US"), (True, "tr-TR")])
def test_every_page_is_accessible_and_fits(
    visit: t.Any, assert_accessible: t.Any, watch: t.Any, width: int, dark: bool, language: str
) -> None:
    watch.expect("404")
    for path in PAGES:
        page = visit(path, width=width, dark=dark, language=language)
        assert page.locator("html").get_attribute("lang") == language[:2]
        assert_accessible(page)
        assert fits(page), path


def test_the_language_can_be_chosen_and_stays(visit: t.Any) -> None:
    page = visit("/", who=None)
    page.get_by_role("link", name="Türkçe").click()
    page.get_by_role("link", name="Giriş").click()
    assert page.locator("html").get_attribute("lang") == "tr"
    page.locator("input[name=name]").fill("nobody")
    page.locator("input[name=password]").fill("wrong")
    page.get_by_role("button", name="Giriş yap").click()
    assert page.get_by_role("alert").inner_text() == "Ad ya da parola doğru değil."


def test_whoever_did_not_sign_in_can_try_the_panel(visit: t.Any) -> None:
    page = visit("/try", who=None)
    panel = page.locator("ailydian-panel")
    panel.locator("input[type=file]").set_input_files([picture()])
    panel.get_by_role("button", name="Analyse").click()
    panel.locator('[part="prediction"]').wait_for()
    assert "ailydian-prediction" in page.locator("#heard").inner_text()
    assert page.locator("ailydian-trend").count() == 0


def put(page: t.Any, address: str, kind: str, body: str, policy: str) -> None:
    """Let the browser find something at an address of the site."""
    headers = {"Content-Security-Policy": policy, "Content-Type": f"{kind}; charset=utf-8"}
    page.route(address, lambda route: route.fulfill(body=body, headers=headers))


@pytest.mark.parametrize("twin", ["en/components.md", "tr/bilesenler.md"])
def test_what_the_docs_show_works_in_a_page(visit: t.Any, site: Site, twin: str) -> None:
    text = (REPOSITORY / "docs" / twin).read_text("utf-8")
    blocks = dict(re.findall(r"```(html|css)\n(.*?)```", text, re.DOTALL))
    shown = jinja2.Template(blocks["html"]).render(
        csrf_token=lambda: "of-the-page",
        url_for=lambda endpoint, filename: f"{API}/static/{filename}",
    )
    page = visit("/login")
    policy = re.search(r"`(default-src 'none'[^`]*)`", text)[1]  # type: ignore[index]
    link = '<link rel="stylesheet" href="shown.css">'
    put(page, site.url + "/shown.css", "text/css", blocks["css"], policy)
    put(page, site.url + "/shown", "text/html", f"<!doctype html>{link}{shown}", policy)
    page.goto(site.url + "/shown")
    panel = page.locator("ailydian-panel")
    panel.locator("input[type=file]").set_input_files([picture()])
    with page.expect_request("**/inference") as sent:
        panel.locator('[part~="run"]').click()
    panel.locator("canvas").wait_for()
    assert sent.value.headers["x-csrftoken"] == "of-the-page"
    page.locator("ailydian-trend svg.plot path").first.wait_for()
    assert page.locator("ailydian-ask textarea").count() == 1
    # The design tokens and parts reach inside.
    looks = panel.locator('[part="card"]').evaluate(
        "card => [getComputedStyle(card).boxShadow, getComputedStyle(card).borderRadius]"
    )
    assert looks == ["none", "0px"]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("components-en", {}),
        ("components-tr-dark", {"language": "tr-TR", "dark": True}),
        ("components-phone", {"width": 400}),
    ],
)
def test_screenshot_of_the_components(
    visit: t.Any, shot: t.Any, assert_accessible: t.Any, name: str, options: dict[str, t.Any]
) -> None:
    page = visit("/try", **options)
    panel, ask = page.locator("ailydian-panel"), page.locator("ailydian-ask")
    panel.locator("input[type=file]").set_input_files([picture()])
    panel.get_by_role("checkbox").check()
    panel.locator('[part~="run"]').click()
    panel.locator("canvas").wait_for()
    ask.locator("textarea").fill("Randevu almak istiyorum")
    ask.locator("textarea").press("Enter")
    ask.locator('[part="facts"]').wait_for()
    ask.locator("summary").click()
    page.locator("ailydian-trend svg.plot").wait_for()
    assert_accessible(page)
    assert fits(page)
    page.evaluate("window.scrollTo(0, 0)")
    shot(page, name, full_page=True)
