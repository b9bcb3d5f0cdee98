"""A bare Flask view: it reads the bytes, pre-processes, runs the model, answers."""

from __future__ import annotations

import os
import typing as t

from flask import Flask
from flask import request

from bench import reference


def create_app() -> Flask:
    """Return the app; ``BENCH_MODEL`` names the model's file."""
    app = Flask(__name__)
    sessions: list[t.Any] = []
    threads = int(os.environ.get("BENCH_RUN_THREADS", "1"))

    @app.post("/predict")
    def predict() -> dict[str, t.Any]:
        # After gunicorn's fork: a session does not survive one.
        if not sessions:
            sessions.append(reference.open_session(os.environ["BENCH_MODEL"], threads))
        tensor = reference.prepare(request.get_data())
        return reference.answer(reference.run(sessions[0], tensor))

    return app
