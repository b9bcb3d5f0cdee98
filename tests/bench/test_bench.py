"""``python -m bench`` from end to end, in its quick form."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the bench reads /proc: run it on Linux"
)


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300)


def test_a_quick_run_measures_and_writes_beside_the_results_that_are_kept() -> None:
    kept = {path: path.read_bytes() for path in (REPOSITORY / "bench" / "results").glob("*.*")}
    done = bench("--quick", "--only", "overhead")
    assert done.returncode == 0, done.stderr
    assert "added with audit, ms" in done.stdout
    results = REPOSITORY / "bench" / "results"
    found = json.loads((results / "tmp" / "latest.json").read_text())
    rows = {row["what"]: row for row in found["rows"]}
    assert rows["added with audit, ms"]["unit"] == "ms"
    assert rows["bare Flask view, p50 ms"]["median"] > 0
    assert str(REPOSITORY) not in (results / "tmp" / "latest.json").read_text()
    assert "| overhead |" in (results / "tmp" / "table.md").read_text()
    assert kept == {path: path.read_bytes() for path in results.glob("*.*")}


def test_of_many_queries_every_row_is_counted_and_a_router_learns() -> None:
    done = bench("--quick", "--only", "routing")
    assert done.returncode == 0, done.stderr
    found = json.loads((REPOSITORY / "bench" / "results" / "tmp" / "latest.json").read_text())
    counted = [row for row in found["rows"] if row["reach"] == "<= 0"]
    assert len(counted) == 2 and all(row["met"] for row in counted), counted
    timed = {row["what"]: row["median"] for row in found["rows"] if row["what"].endswith(" ms")}
    assert len(timed) == 5 and all(value > 0 for value in timed.values())
    assert "learned decision, p99 ms" in timed


def test_a_line_that_there_is_not_is_named() -> None:
    done = bench("--only", "speed")
    assert done.returncode == 2
    assert "speed" in done.stderr and "throughput" in done.stderr
