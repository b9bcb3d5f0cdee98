"""Swagger UI on ``/docs``, from files of this server alone."""

from __future__ import annotations

import typing as t

from browser.conftest import API
from browser.conftest import Site


def test_the_reference_shows_every_operation(
    visit: t.Any, site: Site, assert_accessible: t.Any
) -> None:
    page = visit(f"{API}/docs")
    page.locator(".opblock").first.wait_for()
    page.locator("#servers[aria-label]").wait_for()
    assert_accessible(page)
    document = page.request.get(f"{site.api}/openapi.json").json()
    operations = sum(len(methods) for methods in document["paths"].values())
    assert page.locator(".opblock").count() == operations


def test_opened_operations_are_for_everybody_too(visit: t.Any, assert_accessible: t.Any) -> None:
    page = visit(f"{API}/docs")
    # A JSON body beside parameters, a form with a file, and what takes no body.
    for operation in ("inference-infer", "models-upload_model", "privacy-erase_user"):
        block = page.locator(f"#operations-{operation}")
        block.locator(".opblock-summary-control").click()
        block.locator("table[aria-label^='Responses of']").wait_for()
        assert_accessible(page)
        block.get_by_role("button", name="Try it out").click()
        block.get_by_role("button", name="Execute").wait_for()
    assert_accessible(page)
    assert page.get_by_role("textbox", name="Body of POST /inference").is_visible()
    assert page.get_by_role("region", name="Responses of POST /models").is_visible()


def test_a_route_can_be_tried(visit: t.Any, assert_accessible: t.Any) -> None:
    page = visit(f"{API}/docs")
    block = page.locator("#operations-health-alive")
    block.locator(".opblock-summary-control").click()
    block.get_by_role("button", name="Try it out").click()
    block.get_by_role("button", name="Execute").click()
    answer = block.locator(".live-responses-table .response").first
    answer.wait_for()
    assert "200" in answer.inner_text()
    assert '"alive"' in answer.inner_text()
    assert_accessible(page)
