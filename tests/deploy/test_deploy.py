"""Deployments for real: what is checked, what is replaced, and what is left alone."""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import typing as t
from pathlib import Path

import pytest
from deployed_host import Host
from pictures import data_uri
from pictures import encoded

EIGHT = [
    "pre-flight",
    "settings",
    "dependencies",
    "migrations",
    "models",
    "smoke tests",
    "start",
    "health",
]


def ask(host: Host, path: str) -> tuple[int, t.Any]:
    connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, json.loads(response.read())


class Load:
    """Callers that do not try twice: some keep their connection, some do not, some infer."""

    def __init__(self, port: int, callers: int = 6) -> None:
        self.failed: list[str] = []
        self.pids: set[int] = set()
        self.answered = 0
        self._port = port
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._call, args=(number % 2 == 0, number % 3 == 2))
            for number in range(callers)
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _call(self, keeps: bool, infers: bool) -> None:
        connection = None
        picture = data_uri(encoded())
        asked = json.dumps({"model_name": "shapes", "image": picture}) if infers else None
        method, path = ("POST", "/api/pytorch/inference") if infers else ("GET", "/version")
        while not self._over.is_set():
            try:
                if connection is None:
                    connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
                headers = {"Content-Type": "application/json"}
                headers |= {} if keeps else {"Connection": "close"}
                connection.request(method, path, asked, headers)
                response = connection.getresponse()
                body = json.loads(response.read())
                assert response.status == 200
                self.pids |= {body["pid"]} if "pid" in body else set()
                self.answered += 1
            except Exception as error:
                self.failed.append(f"{'kept' if keeps else 'new'}: {error!r}")
                connection = None
                continue
            if response.will_close:
                connection.close()
                connection = None
            time.sleep(0.005)
        if connection is not None:
            connection.close()


def test_eight_steps_then_a_server_that_is_replaced_without_a_failed_request(host: Host) -> None:
    steps = host.deploy()
    assert [step["name"] for step in steps] == EIGHT and all(step["ok"] for step in steps)
    assert "shapes v1 answers" in steps[5]["detail"] and "routed" in steps[5]["detail"]
    first = host.status()
    assert first["ready"] and first["pid"] == int((host.place / "server.pid").read_text())
    assert ask(host, "/version")[1]["version"] == 1
    host.change('"version": 1', '"version": 2')
    with Load(host.port) as load:
        steps = host.deploy()
        time.sleep(0.5)
    assert load.failed == [] and load.answered > 50
    assert len(load.pids) >= 2, "both servers answered in turn"
    assert "has finished its requests" in steps[7]["detail"]
    assert ask(host, "/version")[1]["version"] == 2
    second = host.status()
    assert second["pid"] != first["pid"] and not Path(f"/proc/{first['pid']}/root").exists()
    assert "has ended" in host.run("ailydian", "deploy", "stop")
    assert host.status() == {"running": False, "ready": False}
    with pytest.raises(ConnectionRefusedError):
        ask(host, "/version")


@pytest.mark.parametrize("host", ["postgresql"], indirect=True)
def test_on_postgresql_several_workers_and_no_failed_request_either(host: Host) -> None:
    assert all(step["ok"] for step in host.deploy())
    assert host.status()["workers"] >= 2
    host.migration("op.add_column('dog', sa.Column('age', sa.Integer))")
    with Load(host.port) as load:
        steps = host.deploy()
    assert load.failed == [] and load.answered > 50
    assert "1 revisions on postgresql" in steps[3]["detail"]


def test_a_migration_that_fails_leaves_data_and_server_as_they_were(host: Host) -> None:
    host.deploy()
    before = host.status()
    with contextlib.closing(sqlite3.connect(host.file)) as db:
        was = list(db.iterdump())
    host.migration(
        "op.create_table('cat', sa.Column('id', sa.Integer)); op.execute('SELECT nonsense')"
    )
    with Load(host.port, 2) as load:
        steps = host.deploy(fails=True)
    assert [step["ok"] for step in steps] == [True] * 3 + [False]
    assert "On a copy" in steps[3]["detail"] and "not touched" in steps[3]["detail"]
    assert "nonsense" in steps[3]["detail"] and "Mend" in steps[3]["remedy"]
    with contextlib.closing(sqlite3.connect(host.file)) as db:
        assert list(db.iterdump()) == was
    assert load.failed == [] and host.status()["pid"] == before["pid"]
    assert [path.suffix for path in (host.place / "backups").iterdir()] == [".sqlite"]


def only_for_real(before: str = "") -> str:
    """Return a migration that commits half of its work, and fails where it is not rehearsed."""
    return (
        "op.create_table('cat', sa.Column('id', sa.Integer))\n"
        "    if op.get_bind().engine.url.database.endswith('host.db'):\n"
        f"        {before or 'pass'}\n"
        "        for word in ('COMMIT', 'BEGIN'):\n"
        "            op.get_bind().exec_driver_sql(word)\n"
        "        raise OSError('disk full')"
    )


def test_what_only_fails_for_real_is_taken_back(host: Host) -> None:
    host.migration(only_for_real())
    steps = host.deploy(fails=True)
    assert "put back" in steps[3]["detail"]
    with contextlib.closing(sqlite3.connect(host.file)) as db:
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
    assert "cat" not in tables and "dog" in tables
    assert host.status()["running"] is False


def test_rows_that_came_meanwhile_are_not_thrown_away(host: Host) -> None:
    host.deploy()
    host.migration(only_for_real("op.execute('INSERT INTO dog (id) VALUES (7)')"))
    steps = host.deploy(fails=True)
    assert "half way" in steps[3]["detail"] and "dog" in steps[3]["detail"]
    with contextlib.closing(sqlite3.connect(host.file)) as db:
        assert db.execute("SELECT count(*) FROM dog").fetchone() == (1,)
    assert host.status()["ready"]


def test_code_that_cannot_answer_never_meets_the_world(host: Host) -> None:
    host.deploy()
    before = host.status()["pid"]
    host.change(
        "ailydian = FlaskAilydian(app)\n",
        "ailydian = FlaskAilydian(app)\nif 'gunicorn' in sys.modules:\n    raise ValueError(1)\n",
    )
    steps = host.deploy(fails=True)
    assert (steps[-1]["name"], steps[-1]["ok"]) == ("smoke tests", False)
    assert "ended with status" in steps[-1]["detail"] and "smoke.log" in steps[-1]["remedy"]
    assert host.status()["pid"] == before and ask(host, "/version")[1]["version"] == 1


def test_a_damaged_model_file_stops_before_anything_starts(host: Host) -> None:
    file = next((host.folder / "instance" / "ailydian" / "models").glob("*.onnx"))
    file.write_bytes(b"x" + file.read_bytes()[1:])
    steps = host.deploy(fails=True)
    assert (steps[-1]["name"], steps[-1]["ok"]) == ("models", False)
    assert "Restore the file" in steps[-1]["remedy"]


@pytest.mark.parametrize(
    ("environment", "step", "said"),
    [
        ({"FLASK_SECRET_KEY": '"dev"'}, "settings", "guessed"),
        ({"FLASK_TESTING": "true"}, "settings", "TESTING"),
        ({"FLASK_AILYDIAN_THIRD_PARTY": '"openai"'}, "settings", "no_key"),
    ],
    ids=["weak secret", "testing", "no key"],
)
def test_what_must_not_go_live_is_refused(
    host: Host, environment: dict[str, str], step: str, said: str
) -> None:
    steps = host.deploy(fails=True, **environment)
    assert steps[-1]["name"] == step and said in steps[-1]["detail"] and steps[-1]["remedy"]


def test_a_port_of_somebody_else_stays_theirs(host: Host) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", host.port))
        other.listen()
        steps = host.deploy(fails=True)
        assert "cannot be listened on" in steps[0]["detail"] and "--bind" in steps[0]["remedy"]


def test_a_dry_run_touches_nothing(host: Host) -> None:
    host.migration("op.add_column('dog', sa.Column('age', sa.Integer))")

    def seen() -> dict[str, tuple[float, bytes]]:
        # A reader of a database in WAL mode makes its index anew.
        return {
            str(path): (path.stat().st_mtime, path.read_bytes())
            for path in host.folder.rglob("*")
            if path.is_file() and path.suffix not in (".pyc", ".db-shm", ".db-wal")
        }

    before = seen()
    steps = host.deploy("--dry-run")
    assert [step["name"] for step in steps] == EIGHT
    assert "1 revisions: zz_next" in steps[3]["detail"] and "Would run" in steps[6]["detail"]
    assert seen() == before and not host.place.exists()


def test_only_what_was_started_here_is_stopped(host: Host) -> None:
    host.deploy()
    file = host.place / "server.json"
    ours = json.loads(file.read_text())
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        # As after a reboot, or when the number was given to somebody else.
        for change in ({"pid": stranger.pid}, {"boot": "another"}, {"started": 1}):
            file.write_text(json.dumps(ours | change))
            assert host.status()["running"] is False
        file.write_text(json.dumps(ours | {"pid": stranger.pid}))
        kept = (host.place / "keeper.json").read_text()
        assert "Nothing" in host.run("ailydian", "deploy", "stop")
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
        file.write_text(json.dumps(ours))
    assert json.loads(kept)["pid"] != ours["pid"]
    assert host.status()["ready"], "the server itself was not touched"


def test_a_stale_record_does_not_stand_in_the_way(host: Host) -> None:
    host.deploy()
    old = host.status()["pid"]
    os.kill(old, 9)
    until = time.monotonic() + 20
    while host.status()["running"] and time.monotonic() < until:
        time.sleep(0.1)
    assert host.status() == {"running": False, "ready": False}
    # The socket is kept meanwhile: callers wait, they are not refused.
    answers: list[int] = []
    caller = threading.Thread(target=lambda: answers.append(ask(host, "/version")[0]))
    caller.start()
    assert all(step["ok"] for step in host.deploy())
    caller.join(60)
    assert answers == [200] and host.status()["pid"] != old


def test_a_configuration_of_the_host_s_own_is_used(host: Host) -> None:
    config = host.folder / "own.py"
    config.write_text(
        "from flask_ailydian.deploying.recommended import *\nthreads = 3\nproc_name = 'own'\n"
    )
    host.deploy("--config", "own.py", "--workers", "2")
    status = host.status()
    command = Path(f"/proc/{status['pid']}/cmdline").read_bytes().split(b"\0")
    assert str(config).encode() in command and status["workers"] == 2
    children = Path(f"/proc/{status['pid']}/task/{status['pid']}/children").read_text().split()
    assert len(children) == 2


def test_a_gate_that_wants_a_login_is_no_failure_and_a_key_passes_it(host: Host) -> None:
    host.change(
        "@app.cli.command",
        "ailydian.gate.actor(lambda: None)\n"
        "ailydian.gate.may(lambda actor, action: False)\n\n@app.cli.command",
    )
    steps = host.deploy()
    assert "in process (401 by HTTP" in steps[5]["detail"]
    on = {"FLASK_AILYDIAN_API_KEYS": "true"}
    key = host.run("ailydian", "key", "create", "deploy", **on).splitlines()[0]
    steps = host.deploy(AILYDIAN_DEPLOY_KEY=key, **on)
    assert "shapes v1 answers" in steps[5]["detail"]
    pid = host.status()["pid"]
    assert key.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
    wrong = host.deploy(fails=True, AILYDIAN_DEPLOY_KEY="ail_wrong", **on)
    assert "refused with 401" in wrong[-1]["detail"] and host.status()["pid"] == pid


def test_two_deployments_at_once_are_one_too_many(host: Host) -> None:
    host.place.mkdir(parents=True)
    with (host.place / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        bind = f"127.0.0.1:{host.port}"
        said = host.run("ailydian", "deploy", "--bind", bind, fails=True)
    assert "Another deployment" in said
