"""The demo help desk, as it is shipped: judged on phrases set aside, and asked by HTTP."""

from __future__ import annotations

import json
import time
import typing as t
import unicodedata

import numpy as np
import pytest
from flask import Flask

from flask_ailydian.demo import help_desk
from flask_ailydian.engine.onnx_engine import OnnxEngine
from flask_ailydian.routing.learning import textgraph as graph
from training.help_desk import data


@pytest.fixture(scope="module")
def chances() -> t.Callable[[list[str]], t.Any]:
    engine = OnnxEngine(help_desk.read(), threads=1)

    def of(texts: list[str]) -> t.Any:
        rows = [
            engine.run({"text": np.array([text], object)}, deadline=None)["probabilities"][0]
            for text in texts
        ]
        return np.array(rows)

    return of


@pytest.fixture(scope="module")
def labels() -> list[str]:
    return list(dict.fromkeys(phrase.intent for phrase in data.taught()))


def test_it_is_right_on_phrases_that_were_set_aside(chances: t.Any, labels: list[str]) -> None:
    held = data.held_out()
    taught = {phrase.text for phrase in data.taught()}
    assert not taught & {phrase.text for phrase in held}
    truth = np.array([labels.index(phrase.intent) for phrase in held])
    found = chances([phrase.text for phrase in held])
    outside = truth == labels.index(data.OUT_OF_SCOPE)
    right = found.argmax(axis=1) == truth
    assert len(labels) >= 25 and right.mean() >= 0.9 and right[~outside].mean() >= 0.9
    answered = (found.argmax(axis=1) != labels.index(data.OUT_OF_SCOPE)) & (
        found.max(axis=1) >= 0.659
    )
    assert answered[outside].mean() <= 0.1 and answered[~outside].mean() >= 0.9


def test_it_is_small_and_its_card_is_there() -> None:
    assert len(help_desk.read()) <= 2_000_000
    assert "98.2 %" in help_desk.card()
    assert set(data.answers()) == {phrase.intent for phrase in data.taught()}


@pytest.mark.parametrize("text", ["randevu almak istiyorum", "çöpler alınmadı", "sular kesik mi"])
def test_it_does_not_mind_how_a_text_is_typed(chances: t.Any, text: str) -> None:
    keyboard = str.maketrans("çğıöşü", "cgiosu")
    upper = text.translate({ord("i"): "İ", ord("ı"): "I"}).upper()
    nfc = unicodedata.normalize("NFC", unicodedata.normalize("NFD", text))
    rows = chances([text, upper, text.translate(keyboard), nfc])
    assert np.allclose(rows, rows[0], atol=1e-5)


def test_the_file_computes_what_the_training_did(chances: t.Any) -> None:
    nodes, constants = graph.front([(1, 2), (2, 3), (1, 2, 3)])
    made = graph.model(nodes, constants, ("features", ["batch", 3]), {})
    engine = OnnxEngine(made, threads=1)
    for text in ("abc", "xabxbc", "ÂBC abc", "?", ""):
        found = engine.run({"text": np.array([text], object)}, deadline=None)["features"]
        assert np.allclose(found, graph.features([text], [(1, 2), (2, 3), (1, 2, 3)]), atol=1e-6)


def test_the_demo_command_gives_a_host_something_that_answers(make_app: t.Any) -> None:
    app: Flask = make_app()
    runner, client = app.test_cli_runner(), app.test_client()
    run = runner.invoke(args=["ailydian", "models", "demo"])
    assert run.exit_code == 0, run.output
    again = json.loads(runner.invoke(args=["ailydian", "models", "demo", "--json"]).output)
    assert again["others"][0]["name"] == help_desk.NAME
    for query, part in (("Merhaba", "hoş geldiniz"), ("otopark var mı?", "otopark")):
        body = client.post("/api/pytorch/query", json={"query": query}).json
        assert (body["backend"], body["local"]["sure"]) == ("onnx", True)
        assert part in body["answer"]
    outside = client.post("/api/pytorch/query", json={"query": "dolar kaç lira"}).json
    assert outside["local"]["in_scope"] is False and "yanıtlayamıyorum" in outside["answer"]
    begun = time.perf_counter()
    for _ in range(20):
        client.post("/api/pytorch/query", json={"query": "Merhaba"})
    assert (time.perf_counter() - begun) / 20 < 0.5
