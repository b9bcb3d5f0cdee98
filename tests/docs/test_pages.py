"""The two languages say the same, and no link between files is broken."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pages
import pytest

PAIRS = sorted(pages.PAIRS.items())
BOTH = [("en", name) for name, _ in PAIRS] + [("tr", name) for _, name in PAIRS]


@pytest.mark.parametrize(("language", "named"), [("en", 0), ("tr", 1)])
def test_every_page_is_in_the_table_of_pairs(language: str, named: int) -> None:
    found = {path.stem for path in (pages.DOCS / language).rglob("*.md")}
    assert found == {pair[named] for pair in PAIRS}


@pytest.mark.parametrize(("english", "turkish"), PAIRS)
def test_twins_have_the_same_outline(english: str, turkish: str) -> None:
    one, other = pages.read("en", english), pages.read("tr", turkish)
    assert [level for level, _ in one.headings] == [level for level, _ in other.headings]
    assert [block.info for block in one.blocks if block.info[:1] != "{"] == [
        block.info for block in other.blocks if block.info[:1] != "{"
    ]


@pytest.mark.parametrize(("language", "name"), BOTH)
def test_no_link_to_a_file_is_broken(language: str, name: str) -> None:
    page = pages.read(language, name)
    for link in page.links:
        parts = urlsplit(link)
        if not parts.scheme and parts.path:
            assert (page.path.parent / parts.path).exists(), f"{page.path}: {link}"


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("sphinx", reason="no Sphinx here; pip install 'flask-ailydian[site]'")
    for language in ("en", "tr"):
        command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", pages.DOCS]
        command += ["-D", f"language={language}", pages.DOCS / language, tmp_path / language]
        run = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert run.returncode == 0, run.stderr
    check = [sys.executable, "-m", "docs.check", tmp_path]
    run = subprocess.run(check, cwd=pages.DOCS.parent, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize(
    ("html", "said"),
    [
        ("", None),
        ('<a href="nowhere.html">x</a>', "no file nowhere.html"),
        ('<h1 id="a"></h1><a href="#a">x</a><a href="#b">x</a>', "no anchor #b"),
        ('<img src="a.html" alt=" ">', "a picture without a text: a.html"),
        ('<script src="https://example.org/x.js"></script>', "loads https://example.org/x.js"),
        ('<a href="https://example.org/">x</a>', None),
    ],
)
def test_the_checker_of_links_sees_what_is_wrong(
    html: str, said: str | None, tmp_path: Path
) -> None:
    (tmp_path / "a.html").write_text(html)
    check = [sys.executable, "-m", "docs.check", tmp_path]
    run = subprocess.run(check, cwd=pages.DOCS.parent, capture_output=True, text=True)
    assert (run.returncode, run.stderr.strip()) == ((1, f"a.html: {said}") if said else (0, ""))


def test_no_link_of_the_readme_is_broken() -> None:
    readme = pages.DOCS.parent / "README.md"
    links = re.findall(r"\]\(([^)\s]+)\)", readme.read_text(encoding="utf-8"))
    inner = [link for link in links if not urlsplit(link).scheme]
    assert inner
    for link in inner:
        assert (readme.parent / urlsplit(link).path).exists(), link
