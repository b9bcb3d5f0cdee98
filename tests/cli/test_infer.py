"""``flask ailydian infer`` over folders: in order, in parallel, resumable."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from flask import Flask
from pictures import encoded
from pictures import picture


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(9):
        (folder / f"{i}.png").write_bytes(encoded(picture(seed=i)))
    (folder / "4.png").write_bytes(b"broken")
    (folder / "notes.txt").write_text("not an image")
    return folder


def run(app: Flask, *args: str | Path) -> t.Any:
    result = app.test_cli_runner().invoke(args=["ailydian", "infer", "shapes", *map(str, args)])
    assert "Traceback" not in result.output
    return result


def lines(text: str) -> list[dict[str, t.Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def count(app: Flask) -> int:
    state = app.extensions["ailydian"]
    table = state.tables.InferenceLog.__table__
    with app.app_context(), state.db.engine.connect() as connection:
        return len(list(connection.execute(table.select())))


def test_a_folder_is_answered_in_order_each_with_its_result_or_error(
    app: Flask, folder: Path
) -> None:
    result = run(app, folder)
    assert result.exit_code == 1
    found = lines(result.stdout)
    assert [Path(line["file"]).name for line in found] == [f"{i}.png" for i in range(9)]
    assert [line["success"] for line in found] == [i != 4 for i in range(9)]
    assert found[4]["error"] == "invalid_image"
    assert count(app) == 9


def test_what_was_answered_is_left_out_when_it_is_resumed(app: Flask, folder: Path) -> None:
    results = folder.parent / "results.jsonl"
    assert run(app, folder, "--resume", results).exit_code == 1
    assert len(lines(results.read_text())) == 9
    # Killed in the middle of a line.
    whole = results.read_bytes().splitlines(keepends=True)
    results.write_bytes(b"".join(whole[:6]) + whole[6][:20])
    (folder / "4.png").write_bytes(encoded(picture(seed=40)))
    before = count(app)
    result = run(app, folder, "--resume", results)
    assert result.exit_code == 0
    assert "4 answered now, 0 of them failed; 5 were there." in result.output
    assert count(app) - before == 4
    answered = [line["file"] for line in lines(results.read_text()) if line["success"]]
    assert sorted(Path(file).name for file in answered) == [f"{i}.png" for i in range(9)]
    assert "0 answered now" in run(app, folder, "--resume", results).output


@pytest.mark.parametrize("text", ["my thesis\n", "my thesis", '{"file": "a"}\n{"other": 1'])
def test_a_file_that_holds_something_else_is_not_touched(
    app: Flask, folder: Path, text: str
) -> None:
    results = folder.parent / "results.jsonl"
    results.write_text(text)
    result = run(app, folder, "--resume", results)
    assert result.exit_code == 1 and "results.jsonl holds something else" in result.output
    assert results.read_text() == text


def test_serving_is_set_by_command(app: Flask) -> None:
    runner = app.test_cli_runner()
    changed = runner.invoke(
        args=["ailydian", "models", "set", "shapes", "v1", "--cache-entries", "5", "--json"]
    )
    assert json.loads(changed.output)["serving"]["cache_entries"] == 5
    nothing = runner.invoke(args=["ailydian", "models", "set", "shapes", "v1"])
    assert nothing.exit_code == 2 and "Say what to set" in nothing.output
    wrong = runner.invoke(args=["ailydian", "models", "set", "shapes", "v1", "--max-batch", "0"])
    assert wrong.exit_code == 1 and "between 1 and" in wrong.output
