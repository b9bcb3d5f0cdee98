"""``<ailydian-trend>`` in a real browser, with the days of a real history."""

from __future__ import annotations

import typing as t

import pytest
from browser.conftest import API
from browser.conftest import fits
from browser.conftest import Site
from browser.parts import mount

from flask_ailydian.demo import NAME


@pytest.fixture
def trend(visit: t.Any) -> t.Callable[..., tuple[t.Any, t.Any]]:
    def make(attributes: dict[str, str] | None = None, **options: t.Any) -> tuple[t.Any, t.Any]:
        page = visit("/try", **options)
        return page, mount(page, "ailydian-trend", **(attributes or {"model": NAME}))

    return make


def days(page: t.Any, site: Site) -> list[dict[str, t.Any]]:
    """Return the days of the version with the most requests, as the server has them."""
    found = page.request.get(f"{site.url}{API}/metrics/daily?model={NAME}").json()["days"]
    counts: dict[str, int] = {}
    for day in found:
        counts[day["version"]] = counts.get(day["version"], 0) + day["total_requests"]
    most = max(counts, key=lambda version: counts[version])
    return [day for day in found if day["version"] == most]


def test_the_table_holds_the_server_s_numbers(trend: t.Any, site: Site) -> None:
    page, element = trend({"model": NAME, "days": "30"})
    element.locator("svg.plot").wait_for()
    wanted = days(page, site)
    element.locator("summary").click()
    rows = element.locator("tbody tr").all_inner_texts()
    assert len(rows) == len(wanted)
    for text, day in zip(rows, reversed(wanted), strict=True):
        numbers = text.split("\t")[1:]
        assert numbers == [str(day["successful_requests"]), str(day["failed_requests"])]
    bars = element.locator("svg.plot rect.s1")
    assert bars.count() == sum(day["successful_requests"] > 0 for day in wanted)
    assert "Requests" in element.locator("svg.plot").get_attribute("aria-label")
    # The tallest bar belongs to the day with the most answers.
    heights = bars.evaluate_all("bars => bars.map(b => Number(b.getAttribute('height')))")
    answers = [day["successful_requests"] for day in wanted if day["successful_requests"]]
    assert heights.index(max(heights)) == answers.index(max(answers))


def test_the_metric_changes_by_keyboard(trend: t.Any) -> None:
    page, element = trend()
    element.locator("svg.plot").wait_for()
    element.get_by_role("radio", name="Requests").focus()
    page.keyboard.press("ArrowRight")
    assert element.get_attribute("metric") == "latency"
    assert element.locator("svg.plot path").count() >= 3
    assert element.get_by_role("radio", name="Latency").is_checked()
    page.keyboard.press("ArrowRight")
    assert element.get_attribute("metric") == "accuracy"
    readout = element.locator('[data-series="accuracy"]').inner_text()
    assert readout.endswith("%")


def test_a_pointer_reads_a_day(trend: t.Any) -> None:
    page, element = trend()
    plot = element.locator("svg.plot")
    plot.wait_for()
    last = element.locator('[part="day"]').inner_text()
    box = plot.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + 60)
    assert element.locator('[part="day"]').inner_text() != last
    page.mouse.move(1, 1)
    assert element.locator('[part="day"]').inner_text() == last


def test_a_version_can_be_picked(trend: t.Any) -> None:
    page, element = trend()
    element.locator("select").wait_for()
    before = element.locator("svg.plot").inner_html()
    other = element.locator("option").nth(1).get_attribute("value")
    element.locator("select").select_option(other)
    assert element.locator("svg.plot").inner_html() != before
    assert element.locator("select").input_value() == other


def test_without_days_it_says_when_there_will_be_some(trend: t.Any, new_site: Site) -> None:
    page, element = trend(at=new_site)
    element.get_by_text("No days to show yet.").wait_for()
    assert element.locator("svg.plot").count() == 0
    # The host may bring its own days, as an object.
    day = {"date": "2026-03-02", "model": "m", "version": "v1", "total_requests": 3}
    day |= {"successful_requests": 2, "failed_requests": 1}
    element.evaluate(
        "(node, data) => { node.data = data }",
        {"from": "2026-03-01", "to": "2026-03-03", "days": [day]},
    )
    assert element.locator("svg.plot rect.s1").count() == 1
    assert element.locator('[data-series="failed"]').inner_text() == "1"
    element.evaluate("node => { node.metric = 'cost' }")
    element.get_by_text("Nothing of this was recorded").wait_for()


def test_whoever_may_not_read_is_told_so(trend: t.Any, watch: t.Any) -> None:
    watch.expect("Failed to load resource")
    _, element = trend({"model": NAME, "lang": "tr"}, who=None)
    box = element.get_by_role("alert")
    box.wait_for()
    assert "Önce oturum açın." in box.inner_text()


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_charts_and_tables_are_accessible_and_fit(
    trend: t.Any, assert_accessible: t.Any, width: int, dark: bool
) -> None:
    page, element = trend(width=width, dark=dark)
    element.locator("svg.plot").wait_for()
    element.locator("summary").click()
    for metric in ("requests", "latency", "accuracy", "cost"):
        element.evaluate("(node, metric) => { node.metric = metric }", metric)
        assert_accessible(page)
        assert fits(page)
