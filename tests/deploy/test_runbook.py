"""The runbook: a section for every alert, and commands that bring a lost host back."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from deployed_host import Host

ROOT = Path(__file__).parents[2]
RULES = ROOT / "flask_ailydian" / "metrics" / "monitoring" / "rules.yml"
PAGES = {"en": ROOT / "docs" / "en" / "runbook.md", "tr": ROOT / "docs" / "tr" / "isletme.md"}


@pytest.mark.parametrize("language", PAGES)
def test_every_alert_has_a_section_and_every_section_an_alert(language: str) -> None:
    alerts = set(re.findall(r"- alert: (\w+)", RULES.read_text()))
    text = PAGES[language].read_text()
    sections = dict(re.findall(r"(?m)^### (Ailydian\w+)\n\n(.+)", text))
    assert alerts and set(sections) == alerts
    assert all(len(first_line) > 40 for first_line in sections.values())


@pytest.mark.parametrize("language", PAGES)
def test_the_figures_are_those_of_the_bench(language: str) -> None:
    text = PAGES[language].read_text().replace(",", ".")
    measured = {}
    for line in (ROOT / "bench" / "results" / "table.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if line.startswith("| flask-ailydian"):
            measured[cells[1], cells[2]] = float(cells[3])
    ours, int8 = "flask-ailydian", "flask-ailydian int8"
    shown = {
        f"{measured[ours, 'c=8, requests/s']:.1f}": "c=8",
        f"{measured[ours, 'c=32, requests/s']:.1f}": "c=32",
        f"{measured[ours, 'c=8, p99 ms']:.0f} ms": "p99",
        f"{measured[ours, 'c=1, p50 ms']:.1f} ms": "c=1",
        f"{measured[ours, 'c=8, CPU ms per request']:.0f} ms": "CPU",
        f"{measured[ours, 'memory after load (PSS), MB']:.0f} MB": "memory",
        f"{measured[int8, 'c=8, CPU ms per request']:.0f} ms": "int8",
    }
    assert [name for figure, name in shown.items() if figure not in text] == []


def commands(heading: str) -> list[list[str]]:
    """Return the commands of each block below a heading of the English page."""
    section = PAGES["en"].read_text().split(f"## {heading}", 1)[1].split("\n## ")[0]
    blocks = re.findall(r"```console[^\n]*\n(.*?)```", section, re.DOTALL)
    return [re.findall(r"(?m)^\$ (.*)$", block) for block in blocks]


def type_in(host: Host, lines: list[str]) -> str:
    """Type commands in the host's folder, as the page shows them; return what they said."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    said = ""
    for line in lines:
        line = re.sub(r"ailydian deploy$", f"ailydian deploy --bind 127.0.0.1:{host.port}", line)
        done = subprocess.run(
            line,
            shell=True,
            cwd=host.folder,
            env=host.environment | {"PATH": path},
            capture_output=True,
            text=True,
            timeout=300,
        )
        said += done.stdout + done.stderr
        assert done.returncode == 0, f"{line}: {said}"
    return said


@pytest.mark.parametrize("host", ["sqlite", "postgresql"], indirect=True)
def test_a_lost_host_comes_back_with_its_trail(host: Host) -> None:
    backup, back, postgresql = commands("Backups")
    if "HOST_DATABASE" in host.environment:
        if shutil.which("pg_dump") is None:
            pytest.skip("no pg_dump here; apt-get install postgresql-client")
        url = host.environment["HOST_DATABASE"].replace("postgresql+psycopg:", "postgresql:")
        host.environment["DATABASE"] = url
        backup[2], back[1] = postgresql
    host.run("fill", "ask")
    before = host.run("ailydian", "audit", "verify", "--json")
    type_in(host, backup)
    # What happens after the backup is lost with the machine.
    host.run("fill", "ask")
    shutil.rmtree(host.folder / "instance" / "ailydian")
    host.file.unlink(missing_ok=True)
    said = type_in(host, back)
    assert "Whole:" in said and "unchanged" in said and "8/8" in said
    assert host.status()["ready"]
    assert '"ok": true' in before
    # Also what was sealed can be read again: the keys came back with it.
    exported = json.loads(host.run("ailydian", "privacy", "export", "u-42"))
    assert [bool(row["result"]) for row in exported["inferences"]] == [True]
