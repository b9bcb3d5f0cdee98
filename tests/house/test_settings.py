from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from flask_ailydian.settings import describe
from flask_ailydian.settings import Settings

README = (Path(__file__).parents[2] / "README.md").read_text()
FIELDS = dataclasses.fields(Settings)


@pytest.mark.parametrize("field", FIELDS, ids=lambda f: f.name)
def test_every_setting_is_documented(field: dataclasses.Field[object]) -> None:
    assert f"`AILYDIAN_{field.name.upper()}`" in README


@pytest.mark.parametrize("field", FIELDS, ids=lambda f: f.name)
def test_every_default_passes_its_own_check(field: dataclasses.Field[object]) -> None:
    Settings.from_config({f"AILYDIAN_{field.name.upper()}": field.default})


def test_an_unknown_key_is_refused_with_the_key_that_was_meant() -> None:
    with pytest.raises(RuntimeError, match="AILYDIAN_MAX_IMAGE_BYTE.*AILYDIAN_MAX_IMAGE_BYTES"):
        Settings.from_config({"AILYDIAN_MAX_IMAGE_BYTE": 1})


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("AILYDIAN_MAX_IMAGE_BYTES", "10", "a whole number, not str"),
        ("AILYDIAN_MAX_IMAGE_BYTES", True, "a whole number, not bool"),
        ("AILYDIAN_MAX_IMAGE_BYTES", 0, "between 1 and"),
        ("AILYDIAN_TIMEOUT_SECONDS", float("nan"), "between"),
        ("AILYDIAN_URL_PREFIX", "api", "must match"),
        ("AILYDIAN_URL_PREFIX", "/api/", "must match"),
        ("AILYDIAN_HASH_KEY", "short", "at least 16 characters"),
        ("AILYDIAN_TRUSTED_ORIGINS", "https://a.example", "a list of strings"),
    ],
)
def test_a_wrong_value_is_refused_by_name(key: str, value: object, said: str) -> None:
    with pytest.raises(RuntimeError, match=f"{key}.*{said}"):
        Settings.from_config({key: value})


def test_a_secret_is_never_shown() -> None:
    config = {"AILYDIAN_HASH_KEY": "0123456789abcdef"}
    rows = describe(Settings.from_config(config), config)
    assert "0123456789abcdef" not in repr(rows)
    assert {r.origin for r in rows} == {"default", "app.config"}


def test_the_environment_is_named_as_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_AILYDIAN_THREADS", "2")
    config = {"AILYDIAN_THREADS": 2}
    rows = {r.key: r for r in describe(Settings.from_config(config), config)}
    assert rows["AILYDIAN_THREADS"].origin == "environment"
