"""Deadlines, full queues and callers who hang up, through real servers."""

from __future__ import annotations

import concurrent.futures
import json
import socket
import sqlite3
import time
import typing as t
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from pictures import data_uri
from pictures import encoded
from servers import serve
from servers import Server

URL = "/api/pytorch/inference"


def turns(server: Server, seconds: float) -> dict[str, t.Any]:
    """Return a request that takes about so long on this machine, alone on one core."""
    count = 2_000
    # The first one loads the model.
    assert server.ask("POST", URL, timed(1))[0] == 200
    while True:
        started = time.monotonic()
        status, body, _ = server.ask("POST", URL, timed(count))
        took = time.monotonic() - started
        assert status == 200, body
        if took > 0.2:
            return timed(int(count * seconds / took))
        count *= 2


def timed(count: int) -> dict[str, t.Any]:
    return {"model_name": "timed", "inputs": {"turns": [count]}}


def rows(folder: Path) -> list[tuple[str, str | None]]:
    with sqlite3.connect(folder / "host.db") as connection:
        return connection.execute(
            "SELECT status, error FROM pytorch_inference_logs ORDER BY id"
        ).fetchall()


def wait_for(condition: t.Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this did not happen in time"
        time.sleep(0.02)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "soon", ""])
def test_a_timeout_that_is_no_time_is_refused(client: FlaskClient, text: str) -> None:
    body = {"model_name": "shapes", "image": data_uri(encoded())}
    response = client.post(URL, json=body, headers={"X-Timeout-Seconds": text})
    assert response.status_code == 422
    assert "X-Timeout-Seconds" in response.json["fields"]


def test_a_caller_may_ask_for_less_time_and_gets_504_when_it_has_passed(tmp_path: Path) -> None:
    with serve(tmp_path, "--threads", "4") as server:
        long = turns(server, 20)
        started = time.monotonic()
        status, body, headers = server.ask("POST", URL, long, X_Timeout_Seconds="0.5")
        assert (status, body["error"]) == (504, "timeout")
        assert "retry-after" in headers
        assert time.monotonic() - started < 5
        assert rows(tmp_path)[-1] == ("failed", "timeout")


@pytest.mark.parametrize("kind", ["gunicorn", "flask"])
def test_the_work_of_who_hangs_up_is_dropped_and_on_record(tmp_path: Path, kind: str) -> None:
    options = ("--threads", "8") if kind == "gunicorn" else ()
    with serve(tmp_path, *options, kind=kind, AILYDIAN_SLOTS=1) as server:
        body = json.dumps(turns(server, 60)).encode()
        before = len(rows(tmp_path))
        head = f"POST {URL} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        sockets = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
        for each in sockets:
            each.sendall(request)
        time.sleep(0.5)
        for each in sockets:
            each.close()
        # Of one that ran and two that waited, none is worked on for its minute.
        wait_for(lambda: len(rows(tmp_path)) == before + 3, 20)
        assert rows(tmp_path)[before:] == [("failed", "client_gone")] * 3
        started = time.monotonic()
        assert server.ask("POST", URL, timed(1))[0] == 200
        assert time.monotonic() - started < 10


def test_a_burst_beyond_what_can_be_done_is_shed_at_once(tmp_path: Path) -> None:
    with serve(tmp_path, "--threads", "64", AILYDIAN_SLOTS=1, AILYDIAN_QUEUE_SIZE=3) as server:
        half = turns(server, 0.5)

        def one(_: int) -> tuple[int, t.Any, dict[str, str], float]:
            started = time.monotonic()
            return (*server.ask("POST", URL, half), time.monotonic() - started)

        before = len(rows(tmp_path))
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(one, range(20)))
        served = [a for a in answers if a[0] == 200]
        shed = [a for a in answers if a[0] == 503]
        assert len(served) + len(shed) == 20 and len(served) >= 4
        for status, body, headers, _ in shed:
            assert (status, body["error"]) == (503, "overloaded")
            assert int(headers["retry-after"]) >= 1
        # Who is refused does not wait for those who are served.
        assert sorted(a[3] for a in shed)[len(shed) // 2] < max(a[3] for a in served)
        outcomes = rows(tmp_path)[before:]
        assert outcomes.count(("success", None)) == len(served)
        assert outcomes.count(("failed", "overloaded")) == len(shed)


def test_a_file_that_cannot_be_decoded_fails_no_neighbour(tmp_path: Path) -> None:
    with serve(tmp_path, "--threads", "32") as server:
        good = {"model_name": "shapes", "image": data_uri(encoded())}
        bad = {"model_name": "shapes", "image": data_uri(encoded()[:100])}
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            asked = [good if i % 2 else bad for i in range(60)]
            found = list(pool.map(lambda body: server.ask("POST", URL, body)[0], asked))
        assert found == [200 if i % 2 else 400 for i in range(60)]
