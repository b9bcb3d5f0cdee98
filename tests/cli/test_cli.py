"""The golden paths, and the mistakes, of ``flask ailydian``."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import click
import onnx_models
import pytest
from flask import Flask
from pictures import encoded


@pytest.fixture
def run(app: Flask) -> t.Callable[..., t.Any]:
    runner = app.test_cli_runner()

    def call(*args: str | Path) -> t.Any:
        result = runner.invoke(args=["ailydian", *map(str, args)])
        assert "Traceback" not in result.output
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    return call


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.onnx"
    path.write_bytes(onnx_models.classifier(labels=2, size=8, seed=5))
    return path


def test_a_model_s_life(run: t.Any, model: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("çiçek\nağaç\n", "utf-8")
    add = ("models", "add", model, "--name", "leaf", "--labels", labels, "--domain", "civic")
    assert "as testing" in run(*add, "--version", "1").output
    assert "as active" in run(*add, "--version", "2", "--activate").output
    assert "answered by 1" in run("models", "activate", "leaf", "1").output
    listed = json.loads(run("models", "list", "--json").output)
    assert {(m["version"], m["status"]) for m in listed if m["name"] == "leaf"} == {
        ("1", "active"),
        ("2", "inactive"),
    }
    assert listed[0]["labels"] or listed[1]["labels"]
    assert "leaf" in run("models", "list").output
    assert "unchanged" in run("models", "verify", "leaf").output
    assert "does not answer" in run("models", "retire", "leaf", "1").output


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["models", "add", "nowhere.onnx", "--name", "a", "--version", "1"], "does not exist"),
        (["models", "activate", "a", "1"], "no model 'a'"),
        (["models", "retire", "a", "1"], "no model 'a'"),
        (["infer", "a", __file__], "No active or testing model"),
        (["models", "fly"], "No such command"),
    ],
)
def test_a_mistake_gets_a_sentence(run: t.Any, args: list[str], said: str) -> None:
    result = run(*args)
    assert result.exit_code != 0
    assert said in result.output


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--size", "x"], "size"),
        (["--mean", "a,b"], "mean"),
        (["--std", "0,0,0"], "std"),
        (["--size", "9"], "8x8"),
        (["--accuracy", "3"], "accuracy"),
        (["--task", "text-classification"], "task"),
    ],
)
def test_a_flag_that_does_not_fit_is_named(
    run: t.Any, model: Path, flags: list[str], said: str
) -> None:
    result = run("models", "add", model, "--name", "a", "--version", "1", *flags)
    assert result.exit_code == 1
    assert said in result.output


def test_infer_prints_one_line_for_each_image(run: t.Any, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    (folder / "deeper").mkdir(parents=True)
    (folder / "a.png").write_bytes(encoded())
    (folder / "deeper" / "b.JPG").write_bytes(encoded(kind="JPEG"))
    (folder / "notes.txt").write_text("not an image")
    result = run("infer", "shapes", folder, "--top-k", "1")
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [Path(line["file"]).name for line in lines] == ["a.png", "b.JPG"]
    assert all(len(line["probabilities"]) == 1 for line in lines)


def test_infer_goes_on_after_a_bad_image_and_says_so_in_the_end(run: t.Any, tmp_path: Path) -> None:
    bad, good = tmp_path / "bad.png", tmp_path / "good.png"
    bad.write_bytes(b"x")
    good.write_bytes(encoded())
    result = run("infer", "shapes", bad, good)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 1
    assert [line["success"] for line in lines] == [False, True]


def test_config_prints_every_key_and_where_it_comes_from(run: t.Any) -> None:
    rows = json.loads(run("config", "--json").output)
    assert {"AILYDIAN_URL_PREFIX", "AILYDIAN_MODEL_DIR"} <= {row["key"] for row in rows}
    assert "AILYDIAN_TIMEOUT_SECONDS" in run("config").output


def test_the_doctor_is_content_with_a_host_that_works(run: t.Any) -> None:
    result = run("doctor")
    assert result.exit_code == 0, result.output
    checks = json.loads(run("doctor", "--json").output)
    assert set(checks) >= {"python", "settings", "database", "models", "inference"}


def test_the_doctor_names_the_remedy(make_app: t.Callable[..., Flask]) -> None:
    app = make_app(create=False)
    result = app.test_cli_runner().invoke(args=["ailydian", "doctor"])
    assert result.exit_code == 1
    assert "flask db upgrade" in result.output


def test_commands_without_tables_name_the_remedy(make_app: t.Callable[..., Flask]) -> None:
    result = make_app(create=False).test_cli_runner().invoke(args=["ailydian", "models", "list"])
    assert result.exit_code == 1
    assert "flask ailydian revision" in result.output


def test_revision_without_flask_migrate_says_what_to_do(run: t.Any) -> None:
    result = run("revision")
    assert result.exit_code == 1
    assert "Migrate(app, db)" in result.output


def test_the_host_keeps_its_own_commands(app: Flask) -> None:
    @app.cli.command("own")
    def own() -> None:
        click.echo("the host's own")

    assert app.test_cli_runner().invoke(args=["own"]).output == "the host's own\n"
    assert sorted(app.cli.commands) == ["ailydian", "own"]
