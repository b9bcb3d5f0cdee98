"""The dashboard, section by section, as people meet it."""

from __future__ import annotations

import json
import re
import typing as t

import pytest
from browser.conftest import API
from browser.conftest import fits
from browser.conftest import Site
from browser.conftest import Watch

PATH = f"{API}/dashboard"
LOADED = ("overview", "models", "traffic", "money", "tests", "drift", "health")
SECTIONS = (*LOADED[:6], "trail", "health")


def ready(page: t.Any, *states: str) -> t.Any:
    """Wait until every section has what it shows."""
    wanted = ", ".join(f'[data-state="{state}"]' for state in states or ("ready",))
    for key in SECTIONS:
        page.locator(f"#{key}").and_(page.locator(wanted)).wait_for()
    return page


def answer(page: t.Any, path: str) -> t.Any:
    return page.request.get(page.url.split(API)[0] + API + path).json()


def test_every_section_shows_what_the_routes_answer(visit: t.Any) -> None:
    page = ready(visit(PATH))
    today = answer(page, "/metrics/today")
    assert today["requests"] > 0
    tiles = page.locator("#overview .figure").all_inner_texts()
    assert tiles[0] == f"{today['requests']:,}"
    costs = answer(page, "/costs")
    assert page.locator("#money .sums").inner_text().count(f"${costs['spent']:.2f}") == 1
    for one in answer(page, "/models")["models"]:
        row = page.locator("#models tbody tr").filter(has_text=one["sha256"][:12])
        assert one["version"] in row.inner_text()
    drawn = page.locator("#traffic .chart").first.locator("rect.bar").count()
    days = answer(page, "/metrics/daily")["days"]
    assert drawn > len({day["date"] for day in days})
    assert page.locator("#tests article").count() == len(answer(page, "/ab-tests")["ab_tests"])
    assert page.locator("#tests .interval svg").count() >= 4
    signals = answer(page, "/metrics/drift")["signals"]
    assert page.locator("#drift .rows li").count() == len(signals)
    assert page.locator("#health .checks li").count() == len(
        answer(page, "/health/ready")["checks"]
    )
    assert page.locator("header .standing").inner_text() == "Ready"
    assert re.match(r"Updated at \d\d:\d\d", page.locator("header [role=status]").inner_text())


def test_teaching_models_say_what_they_are(visit: t.Any) -> None:
    page = ready(visit(PATH))
    card = page.locator("#models article").filter(has_text="chest-xray-classifier-demo")
    assert "Teaching model. Not for diagnosis." in card.inner_text()
    assert "They are no diagnosis." in card.inner_text()


def test_a_card_shows_the_proof_of_the_optimisation(visit: t.Any) -> None:
    page = ready(visit(PATH))
    found = answer(page, "/models")["models"]
    proof = next(one["proof"] for one in found if one["proof"])
    page.locator("#models summary").filter(has_text="int8").click()
    text = page.locator("#models .proof").inner_text()
    assert f"{proof['proof_samples']} held-out samples" in text
    before, after = (f"{proof['bytes'][key] / 1e6:.3g} MB" for key in ("before", "after"))
    assert re.search(rf"File\s+{re.escape(before)}\s+{re.escape(after)}", text)


def test_an_interval_is_drawn_where_its_bounds_are(visit: t.Any) -> None:
    page = ready(visit(PATH))
    name = "int8-against-fp32"
    metric = answer(page, f"/ab-tests/{name}")["ab_test"]["analysis"]["metrics"]["latency"]
    row = page.locator("#tests article").filter(has_text=name).locator(".gap").first
    low, high = metric["relative_bounds"]
    places = row.evaluate(
        """(row) => {
          const svg = row.querySelector("svg");
          const ends = svg.querySelectorAll(".whisker")[0].getAttribute("d").match(/[\\d.]+/g);
          const zero = svg.querySelector(".zero").getAttribute("d").match(/[\\d.]+/)[0];
          return [ends[0], zero, ends[2]].map(Number);
        }"""
    )
    left, zero, right = places
    assert (left < zero) == (low < 0) and (right > zero) == (high > 0)
    assert (zero - left) / (right - zero) == pytest.approx(-low / high, rel=0.02)
    assert row.locator(".interval").get_attribute("aria-label").startswith("Latency: B differs by")


def test_one_day_of_a_chart_is_chosen_with_the_keyboard(visit: t.Any) -> None:
    page = ready(visit(PATH))
    chart = page.locator("#traffic .chart").first
    cursor = chart.get_by_role("slider")
    cursor.focus()
    last = cursor.get_attribute("aria-valuetext")
    page.keyboard.press("ArrowLeft")
    assert cursor.get_attribute("aria-valuetext") != last
    days = answer(page, "/metrics/daily")["days"]
    page.keyboard.press("End")
    newest = max(day["date"] for day in days)
    good = sum(day["successful_requests"] for day in days if day["date"] == newest)
    assert f"Answered {good}" in cursor.get_attribute("aria-valuetext")
    assert str(good) in chart.locator(".legend").inner_text()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    table = chart.get_by_role("table")
    assert table.locator("tbody tr").count() == 30
    assert str(good) in table.locator("tbody tr").first.inner_text()


def test_a_single_version_shows_its_percentiles(visit: t.Any) -> None:
    page = ready(visit(PATH))
    page.locator("#traffic select").select_option("chest-xray-classifier-demo v1.0.0")
    legend = page.locator("#traffic .chart").nth(1).locator(".legend").inner_text()
    assert all(name in legend for name in ("p50", "p95", "p99"))


def test_the_period_can_be_chosen(visit: t.Any) -> None:
    page = ready(visit(PATH))
    with page.expect_response(lambda response: "/metrics/daily" in response.url):
        page.get_by_label("Period").select_option("7")
    page.locator("#traffic [role=slider][aria-valuemax='7']").first.wait_for()
    assert "days=7" in page.url
    assert "days=7" in page.get_by_label("Türkçe").get_attribute("href")


def test_the_trail_is_filtered_paged_and_verified(visit: t.Any) -> None:
    page = ready(visit(PATH))
    trail = page.locator("#trail")
    assert trail.locator("table").count() == 0
    trail.get_by_label("Kind").select_option("query")
    trail.get_by_role("button", name="Show the trail").click()
    rows = trail.locator("tbody tr")
    rows.nth(49).wait_for()
    assert set(rows.locator("td:nth-child(2)").all_inner_texts()) == {"Query"}
    trail.get_by_role("button", name="Show older events").click()
    rows.nth(99).wait_for()
    assert rows.count() == 100
    trail.get_by_label("Person").fill("nobody of that name")
    trail.get_by_role("button", name="Show the trail").click()
    trail.get_by_text("No event fits").wait_for()
    trail.get_by_role("button", name="Verify the trail").click()
    trail.get_by_text("The trail is whole").wait_for()


def test_a_trail_that_is_not_whole_is_said_to_be(visit: t.Any) -> None:
    page = ready(visit(PATH))
    body = answer(page, "/audit/verify?incremental=true")
    bad = {"chain_id": "0" * 8, "seq": 7, "why": "the link is not the digest of the event before"}
    body |= {"ok": False, "first_bad": bad, "bad": [bad]}
    page.route("**/audit/verify", lambda route: route.fulfill(json=body))
    page.locator("#trail").get_by_role("button", name="Verify the trail").click()
    told = page.locator("#trail .broken-trail")
    told.wait_for()
    assert "event 7" in told.inner_text() and bad["why"] in told.inner_text()


def test_who_may_only_read_sees_no_trail_and_asks_for_none(visit: t.Any) -> None:
    asked: list[str] = []
    page = visit(PATH, who="ayşe")
    page.on("request", lambda request: asked.append(request.url))
    ready(page)
    trail = page.locator("#trail")
    assert "for those who may manage" in trail.inner_text()
    assert trail.get_by_role("button").count() == 0
    assert not [url for url in asked if "/audit/" in url]


def test_who_may_not_read_gets_a_page_that_says_so(visit: t.Any, watch: Watch) -> None:
    watch.expect("status of 401")
    page = visit(PATH, who=None)
    assert page.get_by_role("heading").inner_text() == "Sign in first"
    assert page.get_by_role("link").get_attribute("href") == "/"
    page.goto(page.url + "?lang=tr")
    assert page.get_by_role("heading").inner_text() == "Önce giriş yapın"
    answered = page.request.get(page.url, headers={"Accept": "application/json"})
    assert (answered.status, answered.json()["error"]) == (401, "unauthenticated")


def test_a_new_app_is_told_what_to_do_first(
    visit: t.Any, new_site: Site, assert_accessible: t.Any
) -> None:
    page = ready(visit(PATH, at=new_site))
    assert page.locator("#overview .figure").first.inner_text() == "0"
    hints = {
        "traffic": "flask ailydian metrics rollup",
        "money": "flask ailydian route",
        "tests": "flask ailydian ab create",
        "drift": "The first days of a version are the reference",
    }
    for key, hint in hints.items():
        assert hint in page.locator(f"#{key} .empty").inner_text()
    assert_accessible(page)


def test_a_section_that_fails_says_so_and_can_be_tried_again(
    visit: t.Any, watch: Watch, assert_accessible: t.Any
) -> None:
    watch.expect("status of 503")
    page = visit("/")
    problem = {"success": False, "error": "overloaded", "status": 503, "title": "Busy."}
    kind = "application/problem+json"
    page.route(
        "**/costs?*",
        lambda route: route.fulfill(status=503, body=json.dumps(problem), content_type=kind),
    )
    page.goto(page.url.rstrip("/") + PATH)
    money = page.locator("#money[data-state=failed]")
    money.wait_for()
    ready(page, "ready", "failed")
    assert "status 503" in money.get_by_role("alert").inner_text()
    assert_accessible(page)
    page.unroute("**/costs?*")
    money.get_by_role("button", name="Try again").click()
    page.locator("#money[data-state=ready] .sums").wait_for()


def test_what_was_seen_stays_when_the_server_goes_away(visit: t.Any, watch: Watch) -> None:
    watch.expect("ERR_FAILED|ERR_INTERNET_DISCONNECTED")
    page = ready(visit(PATH))
    page.route(f"**{API}/**", lambda route: route.abort())
    page.get_by_label("Period").select_option("7")
    stale = page.locator("#traffic[data-state=stale]")
    stale.wait_for()
    assert "The server cannot be reached." in stale.get_by_role("alert").inner_text()
    assert stale.locator(".chart").count() == 3
    assert page.locator("header .standing").inner_text() == "Not reached"


def test_not_being_ready_is_shown_part_by_part(visit: t.Any, watch: Watch) -> None:
    watch.expect("status of 503")
    page = visit("/")
    body = answer_of_a_database_that_is_away()
    page.route("**/health/ready", lambda route: route.fulfill(status=503, json=body))
    page.goto(page.url.rstrip("/") + PATH + "?lang=tr")
    page.locator("#health[data-state=ready]").wait_for()
    text = page.locator("#health").inner_text()
    assert "Veritabanı yanıt vermiyor (OperationalError)." in text
    page.get_by_text("Hazır değil").wait_for()


def answer_of_a_database_that_is_away() -> dict[str, t.Any]:
    checks = {
        "database": {"ok": False, "detail": "The database does not answer (OperationalError)."},
        "models": {"ok": False, "detail": "Not looked at: the database comes first."},
    }
    return {"success": False, "status": "not_ready", "checks": checks}


def test_it_updates_itself_unless_paused_or_hidden(visit: t.Any) -> None:
    page = visit("/")
    page.clock.install()
    page.goto(page.url.rstrip("/") + PATH)
    ready(page)
    with page.expect_response(lambda response: "/metrics/today" in response.url):
        page.clock.run_for(31_000)
    page.get_by_role("button", name="Pause updates").click()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.run_for(120_000)
    assert not asked
    with page.expect_response(lambda response: "/metrics/today" in response.url):
        page.get_by_role("button", name="Resume updates").click()


def test_an_update_leaves_the_reader_where_they_are(visit: t.Any) -> None:
    page = ready(visit(PATH))
    page.locator("#models summary").first.click()
    cursor = page.locator("#traffic [role=slider]").first
    cursor.focus()
    page.keyboard.press("Home")
    chosen = cursor.get_attribute("aria-valuenow")
    page.locator("#traffic select").select_option(index=1)
    assert cursor.get_attribute("aria-valuenow") == chosen
    page.get_by_label("Period").select_option("90")
    page.locator("#traffic [role=slider][aria-valuemax='90']").first.wait_for()
    assert page.locator("#models details[open]").count() == 1


@pytest.mark.parametrize("language", ["en-US", "tr-TR"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
def test_it_is_accessible_and_fits(
    visit: t.Any, assert_accessible: t.Any, width: int, dark: bool, language: str
) -> None:
    page = ready(visit(PATH, width=width, dark=dark, language=language))
    for summary in page.locator("main summary").all():
        summary.click()
    page.locator("#trail .filter .button").click()
    page.locator("#trail tbody tr").first.wait_for()
    assert fits(page)
    assert_accessible(page)


def test_it_speaks_turkish_whole(visit: t.Any) -> None:
    page = ready(visit(PATH, language="tr-TR"))
    assert page.title() == "Gösterge paneli · flask-ailydian"
    assert page.locator("[lang=en]:not(a)").count() == 0
    assert "%" in page.locator("#overview .figure").nth(1).inner_text()
    page.get_by_label("English").click()
    ready(page)
    assert page.get_by_role("heading", level=2).first.inner_text() == "Overview"


def test_the_keyboard_reaches_everything_in_order(visit: t.Any) -> None:
    page = ready(visit(PATH))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    seen = []
    for _ in range(400):
        page.keyboard.press("Tab")
        place = page.evaluate(
            """() => {
              const at = document.activeElement;
              if (at === document.body) return null;
              const ring = getComputedStyle(at).outlineStyle;
              const kind = at.tagName + (at.getAttribute("role") ?? "");
              return [at.closest("section")?.id, kind, ring];
            }"""
        )
        if place is None:
            break
        seen.append(place)
    assert [key for key in SECTIONS if any(key == place[0] for place in seen)] == [
        key for key in SECTIONS if key not in ("overview", "health")
    ]
    assert {"DIVslider", "SUMMARY", "SELECT", "BUTTON", "INPUT"} <= {place[1] for place in seen}
    assert all(place[2] != "none" for place in seen if place[1] != "INPUT")


def test_a_chosen_look_is_kept(visit: t.Any) -> None:
    page = ready(visit(PATH))
    page.get_by_label("Appearance").select_option("dark")
    page.reload()
    ready(page)
    scheme = page.evaluate("getComputedStyle(document.documentElement).colorScheme")
    assert scheme == "dark"


def test_screenshots_of_the_dashboard(visit: t.Any, shot: t.Any) -> None:
    for name, options in {
        "dashboard-light": {},
        "dashboard-dark": {"dark": True},
        "pano-acik": {"language": "tr-TR"},
        "dashboard-phone": {"width": 400, "height": 860},
    }.items():
        page = ready(visit(PATH, **options))
        shot(page, name)
    page = ready(visit(PATH, dark=True))
    part = page.locator("#tests article").filter(has_text="int8-against-fp32")
    part.scroll_into_view_if_needed()
    shot(page, "dashboard-test", clip=part.bounding_box())
