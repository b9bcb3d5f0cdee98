"""The shipped rules by promtool, and every expression that is shipped by a real Prometheus."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
import time
import typing as t
import urllib.parse
import urllib.request
from datetime import timedelta
from pathlib import Path

import onnx_models
import pytest
from flask import Flask
from pictures import data_uri
from pictures import encoded
from werkzeug.serving import make_server

import flask_ailydian
from flask_ailydian import current_ailydian
from flask_ailydian.clock import now
from flask_ailydian.registration import Declared

pytest.importorskip("prometheus_client", reason="needs the extra prometheus")

SHIPPED = Path(flask_ailydian.__file__).parent / "metrics" / "monitoring"
RULES = Path(__file__).parents[1] / "metrics" / "rules_test.yml"
DASHBOARDS = sorted(SHIPPED.glob("dashboard-*.json"))
KNOWN = {"performance", "cost", "ab", "errors"}


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        if os.environ.get("CI"):
            raise AssertionError(f"{name} is missing: apt-get install prometheus")
        pytest.skip(f"{name} is missing; apt-get install prometheus")
    return found


def test_every_alert_fires_when_it_should_and_only_then() -> None:
    command = [tool("promtool"), "test", "rules", str(RULES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_firing_case() -> None:
    # Read as text: no parser of YAML is needed for names.
    rules = (SHIPPED / "rules.yml").read_text()
    names = [line.split()[-1] for line in rules.splitlines() if "- alert:" in line]
    cases = RULES.read_text()
    assert len(names) == 11
    for name in names:
        parts = cases.split(f"alertname: {name}\n")[1:]
        after = [part.lstrip().splitlines()[0] for part in parts]
        assert "exp_alerts: []" in after and "exp_alerts:" in after, name


def test_there_are_four_dashboards_in_the_classic_form() -> None:
    boards = {
        path.stem.removeprefix("dashboard-"): json.loads(path.read_text()) for path in DASHBOARDS
    }
    assert set(boards) == KNOWN
    for board in boards.values():
        assert board["schemaVersion"] == 39 and board["uid"] and board["panels"]
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_the_command_writes_them(app: Flask, tmp_path: Path) -> None:
    folder = tmp_path / "monitoring"
    result = app.test_cli_runner().invoke(args=["ailydian", "metrics", "files", str(folder)])
    assert result.exit_code == 0
    assert {path.name for path in folder.iterdir()} == {path.name for path in SHIPPED.iterdir()}


# Against a real Prometheus that scrapes a real app


def expressions() -> dict[str, str]:
    found = {}
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                expr = target["expr"]
                for variable, value in (
                    ("$__rate_interval", "30s"),
                    ("$model", ".*"),
                    ("$test", ".*"),
                ):
                    expr = expr.replace(variable, value)
                found[f"{path.stem}: {panel['title']} {target['refId']}"] = expr
    return found


def fill(app: Flask) -> None:
    """Give the app a history: days with drift and a capacity, costs, a test that runs."""
    state = app.extensions["ailydian"]
    tables = state.tables
    model = state.registry.get("shapes", "v1").id
    moment = now()
    days = [
        {
            "model_id": model,
            "date": moment.date() - timedelta(days=back),
            "total_requests": 300,
            "successful_requests": 300,
            "failed_requests": 0,
            "histogram": {
                "latency": {"10": 300},
                "confidence": {"-5": 300},
                "classes": {"circle": 300 if back > 7 else 10, "star": 5 if back > 7 else 290},
                "inputs": [300, 290],
            },
        }
        for back in range(1, 40)
    ]
    row = {"status": "success", "created_at": moment}
    rows = [
        {**row, "id": "paid", "backend": "3rdparty", "cost_usd": 0.01},
        {**row, "id": "free", "backend": "onnx", "cost_usd": 0},
    ]
    with state.db.engine.begin() as connection:
        connection.execute(tables.ModelMetric.__table__.insert(), days)
        connection.execute(tables.InferenceLog.__table__.insert(), rows)
    state.experiments.create("trial", "shapes", "shapes:v2")


@pytest.fixture
def prometheus(make_app: t.Callable[..., Flask], tmp_path: Path) -> t.Iterator[str]:
    """A Prometheus with the shipped rules that has scraped a busy app for a while."""
    binary = tool("prometheus")
    app = make_app(AILYDIAN_CAPACITY_PER_DAY=1000)
    with app.app_context():
        for version, seed in (("v1", 0), ("v2", 1)):
            declared = Declared(
                labels=["circle", "square", "star"], domain="civic", mean=(0.5,) * 3, std=(0.5,) * 3
            )
            data = onnx_models.classifier(seed=seed)
            current_ailydian.registry.register(
                data, "shapes", version, declared, activate=version == "v1"
            )
        fill(app)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = tmp_path / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
        f"rule_files: [{SHIPPED / 'rules.yml'}]\n"
        "scrape_configs:\n"
        "  - job_name: app\n"
        "    metrics_path: /api/pytorch/metrics\n"
        f"    static_configs: [{{targets: ['127.0.0.1:{server.port}']}}]\n"
    )
    command = [binary, f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'tsdb'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
    process = subprocess.Popen(command, cwd=tmp_path)
    try:
        client, good = app.test_client(), data_uri(encoded())
        deadline = time.monotonic() + 120
        address = f"http://127.0.0.1:{port}"
        while not ready(address) and time.monotonic() < deadline:
            for image in (good, good, data_uri(b"none")):
                body = {"model_name": "shapes", "image": image}
                client.post("/api/pytorch/inference", json=body)
            time.sleep(0.3)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=30)
        server.shutdown()


def query(address: str, expr: str) -> t.Any:
    url = f"{address}/api/v1/query?{urllib.parse.urlencode({'query': expr})}"
    with urllib.request.urlopen(url, timeout=10) as response:
        body = json.loads(response.read())
    assert body["status"] == "success", expr
    return body["data"]["result"]


def ready(address: str) -> bool:
    """Whether enough was scraped for rates, and the recording rules have run on it."""
    try:
        return all(
            query(address, f"ailydian:{what}:ratio_rate6h >= 0") for what in ("errors", "slow")
        )
    except OSError:
        return False


def test_every_panel_shows_data_and_every_rule_is_healthy(prometheus: str) -> None:
    empty = [name for name, expr in expressions().items() if not query(prometheus, expr)]
    assert empty == []
    numbers = [
        (name, sample["value"][1])
        for name, expr in expressions().items()
        for sample in query(prometheus, expr)
    ]
    assert [name for name, value in numbers if value == "NaN"] == []
    with urllib.request.urlopen(f"{prometheus}/api/v1/rules", timeout=10) as response:
        groups = json.loads(response.read())["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) == 22 and {rule["health"] for rule in rules} == {"ok"}
    # What was filled in drifts, and has been pending since the first scrape.
    assert query(prometheus, 'ALERTS{alertname="AilydianDrift",signal="classes"}')
