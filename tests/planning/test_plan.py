"""`flask ailydian plan`: a real scratch server, and nothing left of it."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from flask import Flask

from flask_ailydian import current_ailydian


def run(app: Flask, *words: str) -> t.Any:
    options = ["ailydian", "plan", "--seconds", "0.3", "--requests-per-second", "50", *words]
    return app.test_cli_runner().invoke(args=options)


def test_a_model_is_measured_and_a_plan_made(app: Flask, tmp_path: Path) -> None:
    kept = tmp_path / "figures.json"
    words = ("--model", "shapes", "--p99", "5000", "--figures", str(kept))
    done = run(app, *words, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["plan"]["machines"] >= 1
    assert found["figures"]["cpu_seconds"] > 0 and found["figures"]["memory_bytes"] > 10**7
    assert found["figures"]["bytes_per_request"] > 0
    # The host's own record holds nothing of it.
    with app.app_context(), current_ailydian.db.engine.connect() as connection:
        assert (
            connection.execute(current_ailydian.tables.InferenceLog.__table__.select()).all() == []
        )
    again = run(app, *words)
    assert "Measuring" not in again.output and "Machines" in again.output
    kept.write_text("{}")
    assert "holds no figures" in run(app, *words).output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--model", "nobody"), "nobody"),
        (("--model", "shapes", "--p99", "0.001"), "Even an idle machine"),
        (("--model", "shapes", "--sample", __file__), "refused the sample"),
    ],
)
def test_what_cannot_be_planned_is_said(app: Flask, words: tuple[str, ...], said: str) -> None:
    done = run(app, *words)
    assert done.exit_code == 1 and said in done.output, done.output
