"""Nothing is left out: every setting, route, error and command stands in both languages."""

from __future__ import annotations

import dataclasses
import re
import typing as t
from pathlib import Path

import click
import pages
import pytest
from flask import Flask

from flask_ailydian import errors
from flask_ailydian.settings import Settings
from flask_ailydian.web.blueprint import ROUTES

ROOT = Path(__file__).parents[2]
LANGUAGES = ("en", "tr")
FIELDS = dataclasses.fields(Settings)
NOTHING = {"en": ("none", "empty"), "tr": ("yok", "boş")}


def page(language: str, english: str) -> str:
    """Return the text of a page, named in English."""
    return pages.path(language, english).read_text(encoding="utf-8")


def rows(text: str) -> dict[str, list[str]]:
    """Return the cells of every table's rows by their first cell."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    cells = [re.split(r"(?<!\\) \| ", line[2:-2]) for line in lines]
    return {row[0]: row[1:] for row in cells}


def default(value: t.Any, language: str) -> str:
    """Return a default as the table of settings shows it."""
    none, empty = NOTHING[language]
    if value == () or value == "" or value == {}:
        return none if value == () else empty
    if isinstance(value, tuple):
        return f"`{', '.join(value)}`"
    if isinstance(value, int) and value >= 2**20 and value % 2**20 == 0:
        size, unit = (value >> 30, "GiB") if value % 2**30 == 0 else (value >> 20, "MiB")
        return f"`{size} {unit} ({value})`"
    return f"`{value}`"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_setting_has_a_row(language: str) -> None:
    found = {key: row for key, row in rows(page(language, "settings")).items() if "AILYDIAN" in key}
    expected = {f"`AILYDIAN_{f.name.upper()}`": default(f.default, language) for f in FIELDS}
    assert {key: row[0] for key, row in found.items()} == expected
    help_by_key = {f"`AILYDIAN_{f.name.upper()}`": f.metadata["help"] for f in FIELDS}
    meanings = {key: row[1] for key, row in found.items()}
    if language == "en":
        assert meanings == help_by_key
    else:
        assert [key for key, text in meanings.items() if text == help_by_key[key]] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_route_has_a_row(language: str) -> None:
    found = {key for key in rows(page(language, "http")) if key.startswith("`")}
    missing = {f"`{route.method} {route.path}`" for route in ROUTES} - found
    assert not missing


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_error_has_a_row(language: str) -> None:
    def below(kind: type[errors.AilydianError]) -> t.Iterator[type[errors.AilydianError]]:
        for child in kind.__subclasses__():
            yield child
            yield from below(child)

    own = [kind for kind in below(errors.AilydianError) if kind.__module__ == errors.__name__]
    lines = page(language, "errors").splitlines()
    for kind in own:
        start = f"| {kind.status} | `{kind.code}` | "
        assert any(line.startswith(start) for line in lines), start


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_command_and_option_has_its_place(language: str, app: Flask) -> None:
    sections = re.split(r"(?m)^### ", page(language, "cli"))[1:]
    by_name = {section.split("\n", 1)[0]: section for section in sections}

    def leaves(command: click.Command, name: str) -> t.Iterator[tuple[str, click.Command]]:
        if isinstance(command, click.Group):
            context = click.Context(command)
            for word in command.list_commands(context):
                child = command.get_command(context, word)
                assert child is not None
                yield from leaves(child, f"{name} {word}".strip())
        else:
            yield name, command

    for name, command in leaves(app.cli.commands["ailydian"], ""):
        heads = [h for h in by_name if re.match(rf"`{name}(`| [A-Z\[a-z]*[A-Z|\]])", h)]
        assert len(heads) == 1, f"{name}: {heads}"
        section = by_name[heads[0]]
        if language == "en":
            assert " ".join((command.help or "").split()) in section, name
        options = [p for p in command.params if isinstance(p, click.Option) and p.name != "help"]
        for option in options:
            assert any(f"`{'/'.join(option.opts)}" in key for key in rows(section)), (name, option)


def test_no_code_differs_between_the_languages() -> None:
    for english, turkish in pages.PAIRS.items():
        one, other = pages.read("en", english), pages.read("tr", turkish)
        assert bare(one) == bare(other), f"{english} and {turkish}"


def bare(page: pages.Page) -> list[tuple[str, str]]:
    """Return a page's code without its comments, which are translated."""
    blocks = [b for b in page.blocks if b.info[:1] != "{" and not b.info.startswith("text")]
    return [(b.info, re.sub(r"(?m)(^|\s{2,})#.*$", "", b.text)) for b in blocks]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_file_that_a_page_names_is_there(language: str) -> None:
    named = re.compile(r"`((?:tests|bench|training|docs|flask_ailydian|example_app)/[\w./-]+)`")
    for path in (pages.DOCS / language).rglob("*.md"):
        for name in named.findall(path.read_text(encoding="utf-8")):
            assert (ROOT / name).exists(), f"{path.name} names {name}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_target_of_make_that_a_page_names_is_there(language: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for path in (pages.DOCS / language).rglob("*.md"):
        for target in re.findall(r"`make ([a-z-]+)", path.read_text(encoding="utf-8")):
            assert re.search(rf"(?m)^{target}:", makefile), f"{path.name} names make {target}"


#: A row of the table of speeds → its line in the bench's table, and to how many digits.
SPEEDS = {
    0: ("c=8, requests/s", 1),
    1: ("c=32, requests/s", 1),
    3: ("c=1, p50 ms", 0),
    5: ("memory after load (PSS), MB", 0),
}
SERVERS = ("flask-ailydian", "bare-flask", "fastapi", "mosec", "litserve", "bentoml")


@pytest.mark.parametrize("name", ["README.md", "docs/en/comparison.md", "docs/tr/karsilastirma.md"])
def test_the_speeds_are_those_of_the_bench(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if "| mosec |" in line) + 2
    table = [[cell.strip() for cell in line.split("|")[2:-1]] for line in lines[start : start + 6]]
    measured = {}
    for line in (ROOT / "bench/results/table.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| ") and line.count("|") > 6:
            who, what, median = (cell.strip() for cell in line.split("|")[1:4])
            measured[who, what] = median
    for row, (what, digits) in SPEEDS.items():
        for cell, server in zip(table[row], SERVERS, strict=True):
            assert near(cell, measured[server, what], digits), (what, server)
    for cell, server in zip(table[4], SERVERS, strict=True):
        assert near(cell, measured["hangups", f"{server}: the next request ÷ one alone"], 1), server
    int8 = [measured["flask-ailydian int8", f"c={n}, requests/s"] for n in (8, 32)]
    for cell, figure in zip(re.findall(r"\d+[.,]\d", table[2][0]), int8, strict=True):
        assert near(cell, figure, 1)


def near(shown: str, measured: str, digits: int) -> bool:
    """Whether a figure is another one, rounded; the bench's own table is rounded already."""
    return abs(float(shown.replace(",", ".")) - float(measured)) <= 0.5001 * 10**-digits
