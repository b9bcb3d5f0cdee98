"""What a run found: a table for the terminal, one in Markdown, a JSON file and a plot."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import typing as t
from pathlib import Path

from . import plot
from . import rivals
from .figures import Figure
from .figures import Row
from .machine import CORES
from .machine import NOISY
from .workshop import Bench

PACKAGES = ("flask-ailydian", "flask", "gunicorn", "numpy", "onnxruntime", "pillow", "sqlalchemy")
HEAD = ("LINE", "WHAT", "MEDIAN", "REACH", "MET", "OTHERS", "NOISY")


def machine() -> dict[str, t.Any]:
    """Return what the figures depend on beside the code."""
    model = "unknown"
    memory = 0
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal"):
            memory = round(int(line.split()[1]) / 2**20)
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {
        "processor": model,
        "cores": CORES,
        "memory_gib": memory,
        "python": platform.python_version(),
        "kernel": platform.release().split("-")[0],
        "versions": versions,
    }


def write(
    folder: Path, bench: Bench, rows: list[Row], skipped: dict[str, str], seconds: float
) -> None:
    """Write the results into *folder*: ``latest.json``, ``table.md`` and ``plot.svg``."""
    folder.mkdir(parents=True, exist_ok=True)
    about = machine()
    if bench.peers:
        about["peers"] = {peer.name: peer.version for peer in rivals.PEERS}
    whole = {
        "machine": about,
        "options": {"rounds": bench.rounds, "quick": bench.quick, "peers": bench.peers},
        "seconds": round(seconds),
        "noisy_above": NOISY,
        "skipped": skipped,
        "rows": [row.to_json() for row in rows],
    }
    (folder / "latest.json").write_text(json.dumps(whole, indent=1) + "\n")
    (folder / "table.md").write_text(_markdown(about, bench, rows, skipped))
    found: dict[str, dict[str, Figure]] | None = bench.found.get("throughput")
    if found:
        (folder / "plot.svg").write_text(plot.draw(found))


def table(rows: list[Row], skipped: dict[str, str]) -> str:
    """Return the rows as text in columns."""
    lines = [HEAD, *(_cells(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    texts = ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) for line in lines]
    texts += [f"{line}: skipped, {why}" for line, why in skipped.items()]
    texts.append(
        f"OTHERS: share of the machine that others used, median of the rounds; NOISY: rounds in "
        f"which it was above {NOISY:.0%}; yes? and NO? stand on such rounds."
    )
    return "\n".join(text.rstrip() for text in texts)


def _cells(row: Row) -> tuple[str, ...]:
    reach = "" if row.reach is None else f"{row.reach[0]} {row.reach[1]:g}"
    figure = row.figure
    met = {None: "", True: "yes", False: "NO"}[row.met]
    # What was measured among noise decides nothing.
    met += "?" if met and 2 * figure.noisy > len(figure.values) else ""
    noisy = f"{figure.noisy} of {len(figure.values)}"
    return (
        *(row.line, row.what, _number(figure.median), reach, met),
        *(f"{figure.share:.1%}", noisy if figure.noisy else ""),
    )


def _number(value: float) -> str:
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2 if abs(value) >= 10 else 3
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _markdown(
    about: dict[str, t.Any], bench: Bench, rows: list[Row], skipped: dict[str, str]
) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    peers = ", ".join(f"{name} {version}" for name, version in about.get("peers", {}).items())
    command = "make bench" + (" PEERS=1" if bench.peers else "") + f" ROUNDS={bench.rounds}"
    text = [
        f"Made by `{command}{' QUICK=1' if bench.quick else ''}` on {about['processor']}, "
        f"{about['cores']} cores, {about['memory_gib']} GiB; Python {about['python']}; {versions}."
        + (f" Peers: {peers}." if peers else ""),
        "",
        "Medians over the rounds. *Others* is the share of the machine that other processes used "
        f"meanwhile; *noisy* counts the rounds in which it was above {NOISY:.0%}; *yes?* and *NO?* "
        "stand on those.",
        "",
        "| Line | What | Median | Reach | Met | Others | Noisy |",
        "| --- | --- | ---: | --- | --- | ---: | --- |",
    ]
    text += ["| " + " | ".join(_cells(row)) + " |" for row in rows]
    if skipped:
        text += ["", *(f"* {line}: skipped, {why}." for line, why in skipped.items())]
    return "\n".join(text) + "\n"
