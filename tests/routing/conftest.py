from __future__ import annotations

import collections.abc as c
import json
import typing as t

import numpy as np
import onnx
import pytest
from flask import Flask
from onnx import helper
from onnx import TensorProto

from flask_ailydian import current_ailydian
from flask_ailydian.registration import Declared
from flask_ailydian.routing.backends.base import BackendFailure
from flask_ailydian.routing.backends.base import Event
from flask_ailydian.routing.backends.base import Finished
from flask_ailydian.routing.backends.base import Question
from flask_ailydian.routing.backends.base import Text
from flask_ailydian.routing.backends.base import Used
from flask_ailydian.routing.money import Usage

GREETING, HOURS, OTHER = "selam", "saat", "kapsam_disi"
ANSWERS = {
    GREETING: "Merhaba, size nasıl yardımcı olabilirim?",
    HOURS: "Hafta içi 08.00-17.00 arası açığız.",
    OTHER: "Bu konuda bilgim yok.",
}

PRICES = {"twin-1": {"since": "2026-01-01", "input": "2", "output": "10", "per": 1_000_000}}


def text_model(**metadata: t.Any) -> bytes:
    """`text` strings [n] → `probabilities` [n, 3]: knows "Merhaba" and "Kaça kadar açıksınız?"."""
    rows = np.array([[0.0, 0.0, 1.0], [4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.3, 0.2, 0.0]])
    nodes = [
        helper.make_node(
            "LabelEncoder",
            ["text"],
            ["row"],
            domain="ai.onnx.ml",
            keys_strings=["Merhaba", "Kaça kadar açıksınız?", "kararsız"],
            values_int64s=[1, 2, 3],
            default_int64=0,
        ),
        helper.make_node("Gather", ["rows", "row"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "desk",
        [helper.make_tensor_value_info("text", TensorProto.STRING, ["n"])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 3])],
        [onnx.numpy_helper.from_array(rows.astype(np.float32), "rows")],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    for key, value in {"labels": [GREETING, HOURS, OTHER], **metadata}.items():
        entry = model.metadata_props.add()
        entry.key = f"ailydian.{key}"
        entry.value = value if isinstance(value, str) else json.dumps(value)
    return model.SerializeToString()


@pytest.fixture
def make_desk(make_app: t.Callable[..., Flask]) -> t.Iterator[t.Callable[..., Flask]]:
    """Make a host whose help desk knows two questions, and which of the rest are none of its."""
    made: list[Flask] = []

    def make(*, model: bool = True, **config: t.Any) -> Flask:
        app = make_app(**config)
        made.append(app)
        if model:
            data = text_model(answers=ANSWERS, threshold=0.6, out_of_scope=OTHER)
            with app.app_context():
                current_ailydian.registry.register(
                    data, "desk", "v1", Declared(domain="chat"), activate=True
                )
        return app

    yield make
    for app in made:
        app.extensions["ailydian"].router.third_party.close()


class Twin:
    """A paid backend of the host's own: says the question back, and fails when told to."""

    name, model = "twin", "twin-1"

    def __init__(self, failure: BackendFailure | None = None, after: int = 0) -> None:
        self.failure, self.after = failure, after
        self.asked: list[Question] = []

    def attempt(self, question: Question, deadline: float) -> c.Iterator[Event]:
        self.asked.append(question)
        yield Used(Usage(20, 1))
        for number, word in enumerate(question.text.split()):
            if self.failure and number == self.after:
                raise self.failure
            yield Text(word + " ")
        yield Used(Usage(20, 7))
        yield Finished("stop")


@pytest.fixture
def make_twin(make_desk: t.Callable[..., Flask]) -> t.Callable[..., tuple[Flask, Twin]]:
    def make(twin: Twin | None = None, **config: t.Any) -> tuple[Flask, Twin]:
        config = {"AILYDIAN_THIRD_PARTY": "twin", "AILYDIAN_PRICES": PRICES} | config
        app = make_desk(AILYDIAN_THIRD_PARTY_MODEL="twin-1", **config)
        made = twin or Twin()
        app.extensions["ailydian"].router.third_party.register("twin", lambda: made)
        return app, made

    return make


def rows(app: Flask, name: str) -> list[t.Any]:
    """Return the rows of one of our tables, oldest first."""
    state = app.extensions["ailydian"]
    table = getattr(state.tables, name).__table__
    with app.app_context(), state.db.engine.connect() as connection:
        order = table.c.get("created_at", next(iter(table.c)))
        return list(connection.execute(table.select().order_by(order)))


def answers(app: Flask) -> list[t.Any]:
    """Return the rows of answers, without the events between them."""
    return [row for row in rows(app, "InferenceLog") if row.status != "event"]
