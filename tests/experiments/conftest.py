from __future__ import annotations

import typing as t

import onnx_models
import pytest
from flask import Flask

from flask_ailydian import current_ailydian
from flask_ailydian.registration import Declared


@pytest.fixture
def arms(app: Flask) -> Flask:
    """The host with `shapes` v1 active and a v2 on trial, which answers otherwise."""
    with app.app_context():
        declared = Declared(
            labels=["circle", "square", "star"],
            domain="civic",
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
        )
        current_ailydian.registry.register(
            onnx_models.classifier(labels=3, size=8, seed=9), "shapes", "v2", declared
        )
    return app


@pytest.fixture
def experiments(arms: Flask) -> t.Iterator[t.Any]:
    with arms.app_context():
        yield current_ailydian.experiments
