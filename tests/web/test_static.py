"""The files that browsers load: found, fresh, and nothing that leads elsewhere."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

import flask_ailydian

STATIC = Path(flask_ailydian.__file__).parent / "web" / "static"
MODULES = ["ailydian.js", *(f"ailydian/{path.name}" for path in (STATIC / "ailydian").iterdir())]


@pytest.mark.parametrize("name", MODULES)
def test_modules_import_only_files_that_are_sent(client: FlaskClient, name: str) -> None:
    with client.get(f"/api/pytorch/static/{name}") as response:
        assert response.status_code == 200
        assert response.mimetype == "text/javascript"
        code = response.text
    for target in re.findall(r'from "([^"]+)"', code):
        # A bare name or an address would need a build step or the network.
        assert target.startswith("./"), target
        found = (STATIC / name).parent / target
        assert found.is_file(), target


@pytest.mark.parametrize("name", MODULES)
def test_modules_do_nothing_that_a_strict_policy_forbids(name: str) -> None:
    code = (STATIC / name).read_text("utf-8")
    for forbidden in (
        "innerHTML",
        "insertAdjacentHTML",
        "eval(",
        "new Function",
        "http://",
        "//cdn",
    ):
        left = code.replace("http://www.w3.org/2000/svg", "")
        assert forbidden not in left, forbidden


def test_a_module_is_asked_for_again_and_sent_only_when_it_changed(
    app: Flask, make_app: t.Callable[..., Flask]
) -> None:
    url = "/api/pytorch/static/ailydian.js"
    with app.test_client().get(url) as first:
        # No name holds a version, so the browser asks whether what it has is still right.
        assert first.headers["Cache-Control"] == "no-cache"
        known = {"If-None-Match": first.headers["ETag"]}
    with app.test_client().get(url, headers=known) as again:
        assert again.status_code == 304
    # A host that says how long its files may be kept is obeyed.
    with make_app(SEND_FILE_MAX_AGE_DEFAULT=3600).test_client().get(url) as kept:
        assert "max-age=3600" in kept.headers["Cache-Control"]
