"""A host for requests that nobody would write by hand: every route open to one key."""

from __future__ import annotations

import os
from pathlib import Path

import onnx_models
from flask import Flask
from hosts import make_host

from flask_ailydian import current_ailydian
from flask_ailydian import demo
from flask_ailydian.demo import help_desk
from flask_ailydian.errors import Conflict
from flask_ailydian.registration import Declared

#: The file that the key is written to.
KEY = "fuzz.key"


def create_app() -> Flask:
    """Return the host in ``SERVED_FOLDER``; the first start fills it."""
    folder = Path(os.environ["SERVED_FOLDER"])
    app = make_host(folder, AILYDIAN_API_KEYS=True)
    app.extensions["test_ailydian"].gate.may(lambda actor, action: False)
    shapes = onnx_models.classifier(labels=3, size=8)
    with app.app_context():
        for name, data, declared in (
            (demo.NAME, demo.read(), Declared(domain="medical")),
            (help_desk.NAME, help_desk.read(), Declared(domain="chat")),
            ("shapes", shapes, Declared(labels=["circle", "square", "star"])),
        ):
            try:
                current_ailydian.registry.register(data, name, "v1.0.0", declared, activate=True)
            except Conflict:
                continue
        if not (folder / KEY).exists():
            key = current_ailydian.api_keys.create("fuzz", ("infer", "read", "manage"))
            (folder / KEY).write_text(key)
        app.extensions["sqlalchemy"].engine.dispose()
    return app
