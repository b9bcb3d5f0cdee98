"""Jobs through real brokers, with a worker of its own that is killed in the middle."""

from __future__ import annotations

import collections
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import typing as t
import urllib.parse
from pathlib import Path

import pytest
import sqlalchemy as sa
from databases import database
from pictures import encoded
from pictures import picture
from servers import APP
from servers import serve
from servers import told

pytest.importorskip("celery", reason="needs Celery: pip install -e '.[jobs]'")

BROKERS = {
    "redis": os.environ.get("AILYDIAN_TEST_REDIS", "redis://127.0.0.1:6379/7"),
    "rabbitmq": os.environ.get("AILYDIAN_TEST_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672//"),
}
ITEMS = 300


@pytest.fixture(params=BROKERS)
def broker(request: pytest.FixtureRequest) -> str:
    url = BROKERS[request.param]
    address = urllib.parse.urlsplit(url)
    try:
        socket.create_connection((address.hostname or "", address.port or 0), 2).close()
    except OSError:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no broker at {url}; start {request.param} or set AILYDIAN_TEST_*")
    return url


@contextlib.contextmanager
def worker(folder: Path, config: dict[str, t.Any]) -> t.Iterator[subprocess.Popen[bytes]]:
    command = ["flask", "--app", APP, "ailydian", "jobs", "work", "--threads", "2"]
    with (folder / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            env=os.environ | told(folder, config),
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def hand_in(connection: http.client.HTTPConnection) -> t.Any:
    data = encoded(picture(8, 8, seed=1))
    body = b'--b\r\nContent-Disposition: form-data; name="model_name"\r\n\r\nshapes\r\n'
    head = b'--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'
    body += b"".join(head + data + b"\r\n" for _ in range(ITEMS)) + b"--b--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    connection.request("POST", "/api/pytorch/jobs", body, kind)
    response = connection.getresponse()
    answer = json.loads(response.read())
    assert response.status == 202, answer
    return answer["job"]


def test_a_killed_worker_loses_nothing_and_repeats_nothing(tmp_path: Path, broker: str) -> None:
    with database("postgresql", tmp_path) as url:
        config = {
            "database": url,
            "AILYDIAN_JOBS_BROKER": broker,
            "AILYDIAN_TIMEOUT_SECONDS": 2,
        }
        folder = tmp_path / "host"
        with serve(folder, "--threads", "4", **config) as server:
            with contextlib.closing(server.connect()) as connection:
                job = hand_in(connection)
            path = f"/api/pytorch/jobs/{job['id']}"
            with worker(folder, config) as first:
                until(lambda: server.ask("GET", path)[1]["job"]["done"] >= 10)
                first.kill()
                first.wait()
            assert server.ask("GET", path)[1]["job"]["done"] < ITEMS
            with worker(folder, config):
                # What wakes a neglected job after a minute is told at once here.
                neglect(url)
                until(lambda: server.ask("GET", path)[1]["job"]["status"] == "done", 90)
            with contextlib.closing(server.connect()) as connection:
                connection.request("GET", path, headers={"Accept": "application/x-ndjson"})
                lines = connection.getresponse().read().splitlines()
        state, *results = map(json.loads, lines)
        assert (state["job"]["done"], state["job"]["failed"]) == (ITEMS, 0)
        engine = sa.create_engine(url)
        with engine.connect() as connection:
            query = sa.text("SELECT id FROM pytorch_inference_logs WHERE status = 'success'")
            logged = collections.Counter(connection.execute(query).scalars())
        engine.dispose()
        assert collections.Counter(line["result"]["id"] for line in results) == logged
        assert len(logged) == ITEMS


def test_what_a_worker_has_in_hand_is_answered_though_the_job_is_cancelled(
    tmp_path: Path, broker: str
) -> None:
    with database("postgresql", tmp_path) as url:
        config = {"database": url, "AILYDIAN_JOBS_BROKER": broker}
        folder = tmp_path / "host"
        with serve(folder, "--threads", "4", **config) as server:
            with contextlib.closing(server.connect()) as connection:
                job = hand_in(connection)
            path = f"/api/pytorch/jobs/{job['id']}"
            (kept,) = folder.rglob(f"jobs/{job['id']}")
            # A worker that has taken the first input waits here until somebody writes.
            first, data = kept / "0", (kept / "0").read_bytes()
            first.unlink()
            os.mkfifo(first)
            with worker(folder, config):
                until(lambda: server.ask("GET", path)[1]["job"]["done"] >= 10)
                state = server.ask("DELETE", path)[1]["job"]
                assert state["status"] == "cancelled" and state["cancelled"] > 0
                pipe = os.open(first, os.O_WRONLY | os.O_NONBLOCK)
                os.write(pipe, data)
                os.close(pipe)
                until(lambda: server.ask("GET", path)[1]["job"]["waiting"] == 0)
            state = server.ask("GET", path)[1]["job"]
            assert state["failed"] == 0 and state["done"] + state["cancelled"] == ITEMS
            assert not kept.exists()
            with contextlib.closing(server.connect()) as connection:
                connection.request("GET", path, headers={"Accept": "application/x-ndjson"})
                lines = connection.getresponse().read().splitlines()
        line = json.loads(lines[1])
        assert (line["position"], line["status"]) == (0, "done")


def neglect(url: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE pytorch_jobs SET woken_at = '2000-01-01'"))
    engine.dispose()


def until(met: t.Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end
        time.sleep(0.1)
