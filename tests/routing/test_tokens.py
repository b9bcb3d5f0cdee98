"""Models that take tokens: a real tokeniser, a real graph, and the folder that has both."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import numpy as np
import onnx
import pytest
import tokenizers
from flask import Flask
from onnx import helper
from onnx import TensorProto
from routing.test_query import ask

from flask_ailydian import current_ailydian
from flask_ailydian.engine import tokens
from flask_ailydian.errors import BackendUnavailable
from flask_ailydian.errors import ModelRefused
from flask_ailydian.errors import ValidationFailed
from flask_ailydian.registration import Declared

KNOWLEDGE = [
    ["Kütüphane saat kaçta açılıyor?", "Kütüphane 09.00'da açılır."],
    ["Su faturamı nasıl öderim?", "Su faturası gişeden ya da internetten ödenir."],
    ["Otopark ücreti ne kadar?", "Otoparkın saati 20 liradır."],
]
WORDS = sorted({word for asked, _ in KNOWLEDGE for word in asked.lower().strip("?").split()})


def tokenizer() -> bytes:
    """Words in lower case, each its own token; what is unknown is `[UNK]`."""
    vocabulary = {"[UNK]": 0, "[CLS]": 1} | {word: i + 2 for i, word in enumerate(WORDS)}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.normalizer = tokenizers.normalizers.Lowercase()
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A", special_tokens=[("[CLS]", 1)]
    )
    return made.to_str().encode()


def embedder(width: int = 32) -> bytes:
    """`input_ids`, `attention_mask` [n, m] → `last_hidden_state` [n, m, width]."""
    rows = np.random.default_rng(5).normal(size=(len(WORDS) + 2, width)).astype(np.float32)
    # What is in every question says nothing about it.
    rows[:2] = 0
    nodes = [
        helper.make_node("Gather", ["rows", "input_ids"], ["vectors"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["wide"]),
        helper.make_node("Mul", ["vectors", "wide"], ["last_hidden_state"]),
    ]
    whole = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "m"])
        for name in ("input_ids", "attention_mask")
    ]
    made = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["n", "m", width])
    constants = [
        onnx.numpy_helper.from_array(rows, "rows"),
        onnx.numpy_helper.from_array(np.array([2], np.int64), "last"),
    ]
    graph = helper.make_graph(nodes, "embedder", whole, [made], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return model.SerializeToString()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "embedder"
    place.mkdir()
    (place / "model.onnx").write_bytes(embedder())
    (place / "tokenizer.json").write_bytes(tokenizer())
    (tmp_path / "knowledge.json").write_text(json.dumps(KNOWLEDGE), "utf-8")
    return place


def added(app: Flask, folder: Path, *more: str) -> t.Any:
    args = ["models", "add", str(folder), "--name", "wiki", "--version", "v1", "--activate"]
    args += ["--task", "text-embedding", "--domain", "chat", *more]
    return app.test_cli_runner().invoke(args=["ailydian", *args])


def test_a_folder_with_its_tokeniser_answers_from_its_knowledge(
    make_app: t.Any, folder: Path
) -> None:
    app = make_app()
    known = str(folder.parent / "knowledge.json")
    result = added(app, folder, "--knowledge", known, "--threshold", "0.5")
    assert "Added wiki v1 as active: text-embedding" in result.output
    body = ask(app, "OTOPARK ücreti kaç lira", backend="onnx").json
    assert (body["answer"], body["backend"]) == (KNOWLEDGE[2][1], "onnx")
    assert body["local"]["label"] == KNOWLEDGE[2][0] and body["local"]["sure"] is True
    assert body["local"]["confidence"] > 0.6
    other = ask(app, "uçak bileti", backend="onnx").json
    assert other["local"]["sure"] is False and other["local"]["confidence"] == 0
    with app.app_context():
        (record,) = current_ailydian.registry.versions()
        assert record.tokenizer is not None and len(record.tokenizer) == 64
        assert current_ailydian.registry.verify(record) is None


def test_a_tokeniser_that_was_changed_is_not_used(make_app: t.Any, folder: Path) -> None:
    app = make_app()
    added(app, folder, "--knowledge", str(folder.parent / "knowledge.json"))
    with app.app_context():
        registry = current_ailydian.registry
        (stored,) = registry.folder.glob("*.tokenizer.json")
        stored.chmod(0o600)
        stored.write_bytes(tokenizer().replace(b"otopark", b"karapot"))
        (record,) = registry.versions()
        assert "not the one that was registered" in str(registry.verify(record))
        assert ask(app, "otopark").status_code == 503


def test_the_first_token_may_stand_for_the_text(make_app: t.Any) -> None:
    app = make_app()
    recipe = {"knowledge": KNOWLEDGE, "pooling": "first", "max_tokens": 4}
    declared = Declared(
        domain="chat", task="text-embedding", preprocessing=recipe, tokenizer=tokenizer()
    )
    with app.app_context():
        registry = current_ailydian.registry
        record = registry.register(embedder(), "wiki", "v1", declared, activate=True)
        assert record.preprocessing is not None and record.preprocessing["max_tokens"] == 4
        # The first token is in every text, and this model makes nothing of it.
        assert ask(app, "otopark", backend="onnx").json["local"]["confidence"] == 0


@pytest.mark.parametrize(
    ("recipe", "said"),
    [({"pooling": "last"}, "pooling"), ({"max_tokens": 0}, "max_tokens"), ({"x": 1}, "tokenizer")],
)
def test_a_wrong_recipe_is_refused(make_app: t.Any, recipe: dict[str, t.Any], said: str) -> None:
    declared = Declared(task="text-embedding", preprocessing=recipe, tokenizer=tokenizer())
    with make_app().app_context(), pytest.raises(ValidationFailed) as refused:
        current_ailydian.registry.register(embedder(), "wiki", "v1", declared)
    assert said in str(refused.value.fields)


def test_tokens_are_cut_at_the_most_that_the_model_takes() -> None:
    specs = [
        tokens.TensorSpec("input_ids", "int64", (None, None)),
        tokens.TensorSpec("token_type_ids", "int32", (None, None)),
    ]
    arrays = tokens.Tokens(tokenizer(), 3).arrays("otopark ücreti ne kadar", specs)
    assert arrays["input_ids"].shape == (1, 3) and arrays["input_ids"].dtype == np.int64
    assert arrays["token_type_ids"].tolist() == [[0, 0, 0]]
    assert arrays["token_type_ids"].dtype == np.int32


def test_what_is_no_tokeniser_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for data in (b"{}", b"\xff", b'{"model": 1}'):
        with pytest.raises(ModelRefused, match="cannot be read"):
            tokens.Tokens(data)
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
    with pytest.raises(BackendUnavailable, match=r"flask-ailydian\[tokenizers\]"):
        tokens.Tokens(tokenizer())
