"""The model that the tests of this folder ask."""

from __future__ import annotations

import onnx_models
from flask import Flask

from flask_ailydian import current_ailydian
from flask_ailydian.registration import Declared


def registered(app: Flask, domain: str = "medical") -> None:
    """Register `shapes` with a host, and let it answer."""
    with app.app_context():
        current_ailydian.registry.register(
            onnx_models.classifier(labels=3, size=8),
            "shapes",
            "v1",
            Declared(labels=["circle", "square", "star"], domain=domain),
            activate=True,
        )
