"""OpenTelemetry: the host's own instrumentation, with our stages inside; and without it."""

from __future__ import annotations

import json
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
HOST = """
import json, pathlib, sys
sys.path.insert(0, {tests!r})
import onnx_models
from hosts import make_host
from pictures import data_uri, encoded
from flask_ailydian import current_ailydian
from flask_ailydian.registration import Declared

def host():
    app = make_host(pathlib.Path({folder!r}))
    with app.app_context():
        declared = Declared(labels=["a", "b", "c"], domain="civic", mean=(.5,) * 3, std=(.5,) * 3)
        current_ailydian.registry.register(
            onnx_models.classifier(), "shapes", "v1", declared, activate=True
        )
    return app

BODY = {{"model_name": "shapes", "image": data_uri(encoded())}}
"""
TRACED = """
from opentelemetry import trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
app = host()
FlaskInstrumentor().instrument_app(app)
# It declares less than SQLAlchemy 2.1, and works with it where greenlet is installed.
with app.app_context():
    SQLAlchemyInstrumentor().instrument(
        engine=app.extensions["sqlalchemy"].engine, skip_dep_check=True
    )
exporter.clear()
assert app.test_client().post("/api/pytorch/inference", json=BODY).status_code == 200
print(json.dumps([
    [s.name, s.context.span_id, s.parent and s.parent.span_id, s.context.trace_id,
     dict(s.attributes)]
    for s in exporter.get_finished_spans()
], default=str))
"""
BARE = """
import sys
sys.modules["opentelemetry"] = None
app = host()
print(app.test_client().post("/api/pytorch/inference", json=BODY).status_code)
"""


def run(code: str, folder: Path) -> t.Any:
    host = HOST.format(tests=str(TESTS), folder=str(folder))
    # A process of its own: a provider is set once for good.
    done = subprocess.run(
        [sys.executable, "-c", host + code], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_our_stages_are_spans_of_the_host_s_request(tmp_path: Path) -> None:
    pytest.importorskip("opentelemetry.instrumentation.flask", reason="needs OpenTelemetry")
    spans = run(TRACED, tmp_path)
    by_name = {name: (own, parent, attributes) for name, own, parent, _, attributes in spans}
    assert len({trace for *_, trace, _ in spans}) == 1
    request = next(own for name, own, parent, *_ in spans if parent is None)
    for name in ("ailydian.preprocessing", "ailydian.inference", "ailydian.record"):
        assert by_name[name][1] == request, name
    assert by_name["ailydian.inference"][2] == {
        "ailydian.model": "shapes",
        "ailydian.version": "v1",
    }
    # The host's instrumentation of the database sees our row, inside our stage.
    record = by_name["ailydian.record"][0]
    assert any(name.startswith("INSERT") and parent == record for name, _, parent, *_ in spans)


def test_nothing_is_needed_and_nothing_is_missed(tmp_path: Path) -> None:
    assert run(BARE, tmp_path) == 200
