"""The dashboard's page: for whom, in which language, and under which policy."""

from __future__ import annotations

import json
import re
import typing as t
from pathlib import Path

import pytest
from flask import Flask
from flask import request
from flask.testing import FlaskClient

from flask_ailydian.web.views import pages

URL = "/api/pytorch/dashboard"
STATIC = Path(pages.__file__).parents[1] / "static"
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def readers(app: Flask) -> FlaskClient:
    """A host where whoever names themselves may read, and the boss may manage."""
    gate = app.extensions["test_ailydian"].gate
    gate.actor(lambda: request.headers.get("X-Who"))
    gate.may(lambda who, action: who == "boss" or (action != "manage" and who is not None))
    return app.test_client()


def test_nobody_sees_it_before_the_host_has_said_who_may(client: FlaskClient) -> None:
    refused = client.get(URL)
    assert (refused.status_code, refused.json["error"]) == (401, "unauthenticated")


def test_a_browser_is_refused_with_a_page_and_a_program_with_a_problem(
    app: Flask, readers: FlaskClient
) -> None:
    page = readers.get(URL, headers=HTML)
    assert (page.status_code, page.mimetype) == (401, "text/html")
    assert page.headers["Content-Security-Policy"] == pages.POLICY
    assert readers.get(URL).mimetype == "application/problem+json"
    app.extensions["test_ailydian"].gate.may(lambda who, action: False)
    page = readers.get(URL, headers=HTML | {"X-Who": "one", "Accept-Language": "tr"})
    assert page.status_code == 403 and "izniniz yok" in page.text


def test_a_reader_gets_the_page_and_only_a_manager_the_trail(readers: FlaskClient) -> None:
    page = readers.get(URL, headers={"X-Who": "one"})
    assert page.status_code == 200 and "data-manages" not in page.text
    assert page.headers["Content-Security-Policy"] == pages.POLICY
    assert "unsafe" not in pages.POLICY
    assert "data-manages" in readers.get(URL, headers={"X-Who": "boss"}).text
    assert not re.search(r"<script(?![^>]*src=)|style=|onload=", page.text)
    for link in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        with readers.get(link) as found:
            assert found.status_code == 200, link


def test_the_language_is_asked_for_or_the_browser_s(readers: FlaskClient) -> None:
    def language(query: str = "", **headers: str) -> str:
        page = readers.get(URL + query, headers={"X-Who": "one", **headers})
        return re.search(r'<html lang="(\w+)"', page.text)[1]  # type: ignore[index]

    turkish = {"Accept-Language": "de, tr;q=0.8, en;q=0.5"}
    assert (language(), language(**turkish), language("?lang=en", **turkish)) == ("en", "tr", "en")
    assert language("?lang=xx", **{"Accept-Language": "de"}) == "en"


def strings(language: str) -> dict[str, str]:
    source = (STATIC / "dashboard" / f"{language}.js").read_text("utf-8")
    pairs = re.findall(r'^  ("[\w.-]+"):\s+("(?:[^"\\]|\\.)*"),$', source, re.MULTILINE)
    return {json.loads(key): json.loads(text) for key, text in pairs}


def test_both_languages_say_the_same_things() -> None:
    english, turkish = strings("en"), strings("tr")
    assert list(english) == list(turkish) and len(english) > 200
    for key, text in english.items():
        assert sorted(re.findall(r"{\w+}", text)) == sorted(re.findall(r"{\w+}", turkish[key])), key


def test_every_kind_of_event_that_can_be_asked_for_has_its_words() -> None:
    source = (STATIC / "dashboard" / "trail.js").read_text("utf-8")
    listed = re.search(r"const KINDS = \[(.*?)\n\];", source, re.DOTALL)
    assert listed is not None
    kinds = re.findall(r'"(\w+)"', listed[1])
    named = {key.removeprefix("kind.") for key in strings("en") if key.startswith("kind.")}
    assert named == set(kinds) and len(kinds) == len(named)


def test_nothing_is_parsed_as_markup_and_nothing_comes_from_elsewhere() -> None:
    modules = list((STATIC / "dashboard").glob("*.js"))
    assert len(modules) > 10
    for path in modules:
        source = path.read_text("utf-8")
        for banned in ("innerHTML", "insertAdjacentHTML", "eval(", 'setAttribute("style"'):
            assert banned not in source, path.name
        assert not re.search(r"https?://(?!www\.w3\.org/)", source), path.name
        assert len(source.splitlines()) < 320, path.name


def test_both_kinds_of_accept_are_told_apart_by_caches(readers: FlaskClient) -> None:
    page: t.Any = readers.get(URL, headers=HTML | {"X-Who": "one"})
    assert "Accept-Language" in page.headers["Vary"]
    assert page.headers["Cache-Control"] == "no-store"
