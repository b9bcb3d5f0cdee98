"""Several workers that come and go, scraped as one."""

from __future__ import annotations

import concurrent.futures
import http.client
import json
import re
import typing as t
from pathlib import Path

import onnx_models
import pytest
import servers
from databases import database
from hosts import dispose
from hosts import make_host
from pictures import data_uri
from pictures import encoded

from flask_ailydian import current_ailydian
from flask_ailydian.registration import Declared

pytest.importorskip("prometheus_client", reason="needs the extra prometheus")

REQUESTS, WRONG, WORKERS = 1500, 100, 3
HOST = """
import os, pathlib, sys
sys.path.insert(0, {tests!r})
from hosts import make_host
app = make_host(pathlib.Path({folder!r}), database=os.environ["DATABASE_URL"], create=False)
"""


@pytest.fixture
def server(tmp_path: Path) -> t.Iterator[tuple[int, Path]]:
    """Three workers, each replaced after about 150 requests; the port and the log."""
    with database("postgresql", tmp_path) as url:
        app = make_host(tmp_path, database=url)
        with app.app_context():
            declared = Declared(
                labels=["a", "b", "c"], domain="civic", mean=(0.5,) * 3, std=(0.5,) * 3
            )
            current_ailydian.registry.register(
                onnx_models.classifier(), "shapes", "v1", declared, activate=True
            )
        dispose(app)
        counts = tmp_path / "counts"
        counts.mkdir()
        (tmp_path / "host_app.py").write_text(
            HOST.format(tests=str(Path(__file__).parents[1]), folder=str(tmp_path))
        )
        command = ["gunicorn", "host_app:app", "--bind", "127.0.0.1:0"]
        command += ["--workers", str(WORKERS), "--max-requests", "150"]
        command += ["--max-requests-jitter", "30", "--timeout", "120"]
        environment = {"DATABASE_URL": url, "PROMETHEUS_MULTIPROC_DIR": str(counts)}
        with servers.run(command, tmp_path, environment, cwd=tmp_path) as running:
            yield running.port, running.log


def ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        headers = {"Content-Type": "application/json"} if body else {}
        connection.request(method, f"/api/pytorch{path}", body, headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def test_every_request_is_counted_once_over_workers_that_come_and_go(
    server: tuple[int, Path],
) -> None:
    port, log = server
    good = json.dumps({"model_name": "shapes", "image": data_uri(encoded())}).encode()
    bad = json.dumps({"model_name": "shapes", "image": data_uri(b"none")}).encode()
    bodies = [bad if i < WRONG else good for i in range(REQUESTS)]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda body: ask(port, "POST", "/inference", body)[0], bodies))
    assert answers.count(200) == REQUESTS - WRONG and answers.count(400) == WRONG
    started = len(re.findall(r"Booting worker", log.read_text()))
    assert started > 2 * WORKERS, "no worker was replaced"
    # Whichever worker answers the scrape.
    for _ in range(2 * WORKERS):
        text = ask(port, "GET", "/metrics")[1]
        name = 'ailydian_inference_requests_total{model="shapes",outcome="%s",version="v1"} %s'
        assert name % ("success", f"{REQUESTS - WRONG}.0") in text
        assert name % ("rejected", f"{WRONG}.0") in text
        assert (
            'ailydian_inference_duration_seconds_count{model="shapes",stage="total",version="v1"}'
            f" {REQUESTS}.0" in text
        )
        assert 'ailydian_model_ready{model="shapes",version="v1"} 1.0' in text
