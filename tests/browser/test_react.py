"""The components in React 19, and their types: built with npm, which CI has."""

from __future__ import annotations

import os
import shutil
import subprocess
import typing as t
from pathlib import Path

import pytest
from browser.conftest import _live
from browser.conftest import _serve
from browser.conftest import REPOSITORY
from browser.conftest import Site
from browser.parts import picture

SOURCE = REPOSITORY / "example_app" / "react"
INSTALL = ("npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error")
WRONG = """
const panel = document.createElement("ailydian-panel");
panel.explain = "yes";
panel.addEventListener("ailydian-prediction", (event) => event.detail.nothing);
"""


def run(*command: str, at: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=at, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def project() -> Path:
    """The React project with what it needs."""
    if shutil.which("npm") is None:
        remedy = "no npm to build with: apt-get install npm"
        pytest.fail(remedy) if os.environ.get("CI") else pytest.skip(remedy)
    if not (SOURCE / "node_modules" / ".package-lock.json").exists():
        made = run(*INSTALL, at=SOURCE)
        assert made.returncode == 0, made.stderr
    return SOURCE


def test_the_types_hold_what_the_page_does(project: Path, tmp_path: Path) -> None:
    tsc = project / "node_modules" / ".bin" / "tsc"
    checked = run(str(tsc), at=project)
    assert checked.returncode == 0, checked.stdout
    # And they would have noticed.
    wrong = tmp_path / "wrong.ts"
    types = REPOSITORY / "flask_ailydian" / "web" / "static" / "ailydian.d.ts"
    wrong.write_text(f'/// <reference path="{types}" />\n{WRONG}')
    options = ("--noEmit", "--strict", "--target", "es2022")
    refused = run(str(tsc), *options, str(wrong), at=project)
    assert "'string' is not assignable to type 'boolean'" in refused.stdout
    assert "'nothing' does not exist" in refused.stdout


@pytest.fixture(scope="module")
def react_site(
    project: Path, tmp_path_factory: pytest.TempPathFactory, _browser_or_skip: None
) -> t.Iterator[Site]:
    """An example host with the React page built."""
    folder = tmp_path_factory.mktemp("react")
    built = run("npx", "vite", "build", "--outDir", str(folder / "dist"), at=project)
    assert built.returncode == 0, built.stdout + built.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLASK_REACT_BUILD", str(folder / "dist"))
        _live(folder, "--bare")
        with _serve(folder) as site:
            yield site


def test_objects_go_in_and_events_come_out(
    visit: t.Any, react_site: Site, assert_accessible: t.Any
) -> None:
    page = visit("/react/", who=None, at=react_site)
    panel = page.locator("ailydian-panel")
    # The array of models arrived as it is: nobody is signed in, so no registry could tell.
    assert panel.locator('[part="model"]').inner_text() == "chest-xray-classifier-demo"
    assert panel.evaluate("node => Array.isArray(node.models) && node.explain")
    panel.locator("input[type=file]").set_input_files([picture()])
    panel.get_by_role("button", name="Analyse").click()
    panel.locator("canvas").wait_for()
    said = panel.locator('[part="prediction"]').inner_text()
    assert page.locator("output").inner_text().startswith(said)
    ask = page.locator("ailydian-ask")
    ask.locator("textarea").fill("Randevu almak istiyorum")
    ask.locator("textarea").press("Enter")
    ask.locator('[part="facts"]').wait_for()
    assert page.locator("output").inner_text() == ask.locator('[part="answer"]').inner_text()
    assert_accessible(page)
