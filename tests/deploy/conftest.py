"""A host that is deployed for real on loopback, and leaves no process behind."""

from __future__ import annotations

import os
import shutil
import signal
import time
import typing as t
from pathlib import Path

import pytest
from databases import database
from deployed_host import Host
from servers import logged


def _prepare(host: Host) -> None:
    """Write the host's migrations, run them, and register its model."""
    for command in (["db", "init"], ["ailydian", "revision"], ["db", "upgrade"]):
        host.run(*command)
    host.run("db", "migrate", "-m", "dogs")
    host.run("db", "upgrade")
    host.run("fill")


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared host on SQLite, to be copied."""
    folder = tmp_path_factory.mktemp("template") / "app"
    folder.mkdir()
    _prepare(Host(folder, None))
    return folder


@pytest.fixture(params=["sqlite"])
def host(request: pytest.FixtureRequest, tmp_path: Path, template: Path) -> t.Iterator[Host]:
    """A host whose migrations are written, and its model registered."""
    pytest.importorskip("gunicorn", reason="needs the extra deploy")
    folder = tmp_path / "app"
    with database(request.param, tmp_path) as url:
        if request.param == "sqlite":
            shutil.copytree(template, folder)
            made = Host(folder, None)
        else:
            folder.mkdir()
            made = Host(folder, url)
            _prepare(made)
        with logged(made.place):
            try:
                yield made
            finally:
                made.run("ailydian", "deploy", "stop")
                _nobody_left(folder)


def _nobody_left(folder: Path) -> None:
    """Every process that was started in the folder has ended."""
    until = time.monotonic() + 20
    left: list[int] = []
    while time.monotonic() < until:
        left = []
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes() + os.readlink(entry / "cwd").encode()
            except (OSError, ValueError):
                continue
            if str(folder).encode() in words and entry.name.isdigit():
                left.append(int(entry.name))
        if not left:
            return
        time.sleep(0.1)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    raise AssertionError(f"processes were left: {left}")
