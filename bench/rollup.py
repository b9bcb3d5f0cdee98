"""How long a million rows take: ``python -m bench.rollup [sqlite|postgresql]``.

Ten days of five models, recomputed from nothing. PostgreSQL: the server of the tests.
"""

from __future__ import annotations

import sys
import tempfile
import time
import typing as t
from datetime import datetime
from datetime import timedelta
from pathlib import Path

import numpy as np
import sqlalchemy as sa
from flask import Flask

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from databases import database  # noqa: E402
from hosts import dispose  # noqa: E402
from hosts import make_host  # noqa: E402

ROWS, DAYS, MODELS = 1_000_000, 10, 5
RESULT = {"prediction": "Normal", "probabilities": {"Normal": 0.91, "COVID-19": 0.09}}
START = datetime(2026, 3, 1)


def fill(app: Flask, rows: int = ROWS) -> None:
    """Write the rows as a year of requests would: in the order of time."""
    rng = np.random.default_rng(1)
    state = app.extensions["ailydian"]
    models, logs = state.tables.Model.__table__, state.tables.InferenceLog.__table__
    seconds = np.sort(rng.uniform(0, DAYS * 86_400, rows))
    latency = rng.lognormal(3, 0.5, rows)
    which = rng.integers(1, MODELS + 1, rows)
    sure = rng.beta(8, 2, rows)
    failed = rng.random(rows) < 0.01
    with state.db.engine.begin() as connection:
        for i in range(1, MODELS + 1):
            model = {
                "id": i,
                "model_name": f"m{i}",
                "model_version": "1",
                "model_type": "onnx",
                "domain": "civic",
                "task": "tensor",
                "deployment_status": "active",
            }
            connection.execute(models.insert(), model)
        for start in range(0, rows, 20_000):
            part = [
                {
                    "id": f"{i:036d}",
                    "model_id": int(which[i]),
                    "inference_time_ms": None if failed[i] else float(latency[i]),
                    "status": "failed" if failed[i] else "success",
                    "cost_usd": 0.0001,
                    "confidence": float(sure[i]),
                    "input_hash": f"{i % 900_000:064d}",
                    "result": None if failed[i] else RESULT,
                    "created_at": START + timedelta(seconds=float(seconds[i])),
                }
                for i in range(start, min(start + 20_000, rows))
            ]
            connection.execute(logs.insert(), part)


def measure(kind: str) -> t.Iterator[str]:
    """Yield lines of figures."""
    with tempfile.TemporaryDirectory() as folder, database(kind, Path(folder)) as url:
        app = make_host(Path(folder), database=url)
        try:
            with app.app_context():
                fill(app)
                state = app.extensions["ailydian"]
                if kind == "postgresql":
                    with state.db.engine.connect() as connection:
                        connection.execute(sa.text("ANALYZE pytorch_inference_logs"))
                        connection.commit()
                for turn in ("first", "again"):
                    before = time.perf_counter()
                    found = state.metrics.rollup.run(
                        START.date(), (START + timedelta(days=DAYS - 1)).date(), now=START
                    )
                    took = time.perf_counter() - before
                    total = sum(x.total_requests for x in found)
                    yield f"{kind} {turn}: {len(found)} slices, {total} rows, {took:.2f} s"
        finally:
            dispose(app)


if __name__ == "__main__":
    for kind in sys.argv[1:] or ("sqlite", "postgresql"):
        for line in measure(kind):
            print(line, flush=True)
