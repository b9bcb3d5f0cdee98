"""A local model that writes, as a client meets it: whole, word by word, unsure, cut and late."""

from __future__ import annotations

import json
import math
import sys
import time
import typing as t
from pathlib import Path

import generation_models
import pytest
from flask import Flask
from generation_models import OTHER
from generation_models import SCRIPT
from routing.conftest import answers
from routing.conftest import PRICES
from routing.conftest import rows
from routing.conftest import Twin
from routing.test_query import ask
from routing.test_query import events_of

from flask_ailydian import current_ailydian
from flask_ailydian import recipes
from flask_ailydian.engine import cores
from flask_ailydian.engine import decoder
from flask_ailydian.errors import ClientGone
from flask_ailydian.errors import ValidationFailed
from flask_ailydian.registration import Declared
from flask_ailydian.routing.backends.base import BackendFailure
from flask_ailydian.routing.backends.writing import SURE_AFTER
from flask_ailydian.routing.in_house import BEGUN
from flask_ailydian.routing.turn import Asked

SURE, UNSURE, ENDLESS = "kütüphane nerede", "otopark nerede", "sonsuz"


def add(app: Flask, folder: Path, *more: str, name: str = "yazar") -> t.Any:
    args = ["models", "add", str(folder), "--name", name, "--version", "v1", "--activate"]
    args += ["--task", "text-generation", "--domain", "chat", *more]
    return app.test_cli_runner().invoke(args=["ailydian", *args])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return generation_models.write(tmp_path / "writer")


@pytest.fixture
def make_writer(make_app: t.Any, folder: Path) -> t.Callable[..., tuple[Flask, Twin]]:
    """Make a host whose model writes, and is sure of itself from 0.7 on, beside a paid backend."""

    def make(*flags: str, twin: Twin | None = None, **config: t.Any) -> tuple[Flask, Twin]:
        paid = {"AILYDIAN_THIRD_PARTY": "twin", "AILYDIAN_THIRD_PARTY_MODEL": "twin-1"}
        paid["AILYDIAN_PRICES"] = PRICES
        app = make_app(**paid, **config)
        made = twin or Twin()
        app.extensions["ailydian"].router.third_party.register("twin", lambda: made)
        flags = ("--threshold", "0.7", *flags)
        result = add(app, folder, *flags)
        assert "Added yazar v1 as active: text-generation" in result.output, result.output
        return app, made

    return make


def begun(app: Flask) -> list[str]:
    """Return the queries that an event says were going to be read while they were written."""
    return [row.id for row in rows(app, "AuditEvent") if row.kind == BEGUN]


def idle(app: Flask) -> bool:
    """Whether every slot is given back, which a model left alone does after its next token."""
    executor, limit = app.extensions["ailydian"].prediction.executor, time.monotonic() + 20
    while executor.inside and time.monotonic() < limit:
        time.sleep(0.01)
    return executor.inside == 0  # type: ignore[no-any-return]


def test_a_folder_answers_in_one_piece(make_writer: t.Any) -> None:
    app, twin = make_writer()
    body = ask(app, SURE).json
    assert (body["answer"], body["backend"], body["model"]) == (
        SCRIPT["kütüphane"][0],
        "onnx",
        "yazar v1",
    )
    tokens = len(generation_models.tokenizer().encode(SCRIPT["kütüphane"][0]).ids) + 1
    local = body["local"]
    assert (local["tokens"], local["finish"], local["sure"]) == (tokens, "stop", True)
    assert 0.999 < local["confidence"] <= 1 and "label" not in local and not twin.asked
    (row,) = answers(app)
    assert row.status == "success" and row.confidence == pytest.approx(local["confidence"])
    written = row.result["written"]
    assert written == {"tokens": tokens, "finish": "stop"} and "açılır" not in json.dumps(
        row.result
    )
    assert ask(app, "bambaşka").json["answer"] == OTHER[0]
    assert not begun(app) and idle(app)
    (record,) = app.extensions["ailydian"].registry.versions()
    recipe = record.preprocessing
    assert recipe["context"] == generation_models.CONTEXT and len(recipe["template"]) == 3
    # Full caches for a text in each slot count in the budget of memory.
    cache = 2 * 2 * 4 * 4 * recipe["context"]
    cost = app.extensions["ailydian"].serving.cost(record)
    assert cost - record.report.loaded_bytes == cores.count() * decoder.CACHES * cache


def test_a_stream_gives_whole_characters_and_is_on_record_before_the_first(
    make_writer: t.Any,
) -> None:
    app, _ = make_writer()
    events = events_of(ask(app, SURE, stream=True))
    assert [name for name, _ in events][0 :: len(events) - 1] == ["route", "done"]
    pieces = [data["text"] for name, data in events if name == "delta"]
    text = SCRIPT["kütüphane"][0]
    assert "".join(pieces) == text == events[-1][1]["answer"] and len(pieces) > len(text) / 2
    for letter in "İşğı🙂🚀🇹":
        assert sum(letter in piece for piece in pieces) >= 1
    assert events[-1][1]["backend"] == "onnx" and events[-1][1]["local"]["finish"] == "stop"
    (row,), (cost,) = answers(app), rows(app, "QueryCost")
    assert (row.status, cost.state) == ("success", "settled") and len(begun(app)) == 1
    with app.test_request_context():
        stream = current_ailydian.router.stream(lambda: Asked(SURE))
        assert next(stream)[0] == "route"
        assert next(stream)[0] == "delta"
        # One word is out: the event and the cost are there, the answer is not yet.
        assert len(begun(app)) == 2 and rows(app, "QueryCost")[-1].state == "reserved"
        assert len(answers(app)) == 1
        assert list(stream)[-1][0] == "done"
    assert len(answers(app)) == 2 and rows(app, "QueryCost")[-1].state == "settled"
    assert app.test_cli_runner().invoke(args=["ailydian", "audit", "verify"]).exit_code == 0


@pytest.mark.parametrize("stream", [False, True])
def test_a_beginning_that_is_not_sure_is_escalated_unseen(make_writer: t.Any, stream: bool) -> None:
    app, twin = make_writer()
    response = ask(app, UNSURE, stream=stream)
    events = events_of(response) if stream else [("done", response.json)]
    body = events[-1][1]
    assert (body["backend"], body["reason"]) == ("3rdparty", "low-confidence-escalated")
    assert body["answer"].strip() == UNSURE and body["tried"] == {"onnx": "low_confidence"}
    shown = "".join(data["text"] for name, data in events if name == "delta")
    assert "Sanırım" not in shown and len(twin.asked) == 1 and not begun(app) and idle(app)


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_not_sure_is_given_for_what_it_is_when_nobody_else_answers(
    make_writer: t.Any, stream: bool
) -> None:
    app, _ = make_writer(twin=Twin(BackendFailure("provider_error")))
    response = ask(app, UNSURE, stream=stream)
    body = events_of(response)[-1][1] if stream else response.json
    assert (body["answer"], body["backend"]) == (SCRIPT["otopark"][0], "onnx-fallback")
    others = generation_models.tokenizer().get_vocab_size() - 1
    chance = 1 / (1 + others * math.exp(-SCRIPT["otopark"][1]))
    assert body["local"]["confidence"] == pytest.approx(chance) and not body["local"]["sure"]
    (row,) = answers(app)
    assert row.status == "success" and len(begun(app)) == int(stream)


def test_a_model_may_decline_what_it_is_not_sure_of(make_app: t.Any, folder: Path) -> None:
    app = make_app()
    recipe = generation_models.recipe() | {"threshold": 0.7, "out_of_scope": "Bunu bilmiyorum."}
    declared = Declared(
        domain="chat",
        task="text-generation",
        preprocessing=recipe,
        tokenizer=(folder / "tokenizer.json").read_bytes(),
    )
    with app.app_context():
        data = (folder / "model.onnx").read_bytes()
        current_ailydian.registry.register(data, "yazar", "v1", declared, activate=True)
    body = ask(app, UNSURE).json
    assert body["answer"] == "Bunu bilmiyorum." and body["local"]["tokens"] == SURE_AFTER
    assert ask(app, SURE).json["answer"] == SCRIPT["kütüphane"][0] and idle(app)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"end": []}, "`end` lists"),
        ({"end": ["x"]}, "`end` lists"),
        ({"context": 0}, "context"),
        ({"template": ["a", "b"]}, "three texts"),
        ({"system": 1}, "system"),
        ({"temperature": 3}, "between 0 and 2"),
        ({"top_p": 0}, "top_p is above 0"),
        ({"top_p": True}, "top_p is above 0"),
        ({"stop": "."}, "`stop` lists the texts"),
        ({"stop": ["a", ""]}, "none of them is empty"),
        ({"stop": list("abcde")}, "at most 4"),
        ({"pooling": "mean"}, "A model that writes has"),
    ],
)
def test_a_wrong_recipe_is_refused(more: dict[str, t.Any], said: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        recipes.check("text-generation", generation_models.recipe() | more, None)
    assert said in str(refused.value.fields)


def test_an_answer_is_no_longer_than_was_asked_or_is_allowed(make_writer: t.Any) -> None:
    app, twin = make_writer("--max-tokens", "40")
    for asked, given in ((None, 40), (7, 7), (1000, 40)):
        more = {} if asked is None else {"max_tokens": asked}
        local = ask(app, ENDLESS, **more).json["local"]
        assert (local["tokens"], local["finish"]) == (given, "length")
    assert ask(app, ENDLESS, max_tokens=0).status_code == 422
    ask(app, ENDLESS, backend="3rdparty", max_tokens=9)
    assert twin.asked[-1].max_tokens == 9


def test_a_query_that_leaves_no_room_is_no_question_for_it(make_writer: t.Any) -> None:
    app, _ = make_writer()
    assert ask(app, "kütüphane " * 390, backend="onnx").json["backend"] == "onnx"
    body = ask(app, "ş" * 2000, backend="onnx").json
    assert body["error"] == "backend_unavailable" and body["backends"] == {"onnx": "query_too_long"}


def test_a_reader_who_leaves_ends_the_writing_and_is_accounted_for(make_writer: t.Any) -> None:
    app, _ = make_writer("--max-tokens", "800")
    response = app.test_client().post(
        "/api/pytorch/query", json={"query": ENDLESS, "stream": True}, buffered=False
    )
    lines = response.iter_encoded()
    for _ in range(4):
        next(lines)
    response.close()
    assert idle(app)
    (row,), (cost,) = answers(app), rows(app, "QueryCost")
    assert (row.status, row.error, cost.state) == ("failed", "client_gone", "failed")
    assert row.result["written"]["finish"] == "cut" and row.result["written"]["tokens"] < 800
    assert len(begun(app)) == 1


def test_a_slow_reader_holds_no_slot(make_writer: t.Any) -> None:
    app, _ = make_writer("--max-tokens", "100")
    with app.test_request_context():
        stream = current_ailydian.router.stream(lambda: Asked(ENDLESS))
        assert next(stream)[0] == "route"
        # It reads no further, and the model is done all the same.
        assert idle(app)
        assert list(stream)[-1][1]["local"]["tokens"] == 100


def test_who_hangs_up_before_the_answer_is_not_written_for(make_writer: t.Any) -> None:
    app, twin = make_writer("--max-tokens", "800")
    with app.test_request_context(), pytest.raises(ClientGone):
        current_ailydian.router.answer(lambda: Asked(ENDLESS), gone=lambda: True)
    (row,) = answers(app)
    # Nor is anybody else asked for them.
    assert (row.status, row.error) == ("failed", "client_gone") and not twin.asked and idle(app)


def test_the_deadline_ends_the_writing(make_app: t.Any, tmp_path: Path) -> None:
    # A token takes a third of a second and more: there is no time for the beginning.
    app = make_app(AILYDIAN_TIMEOUT_SECONDS=2.0, AILYDIAN_PROBE_SECONDS=60.0)
    folder = generation_models.write(tmp_path / "slow", work=100_000)
    assert add(app, folder, "--threshold", "0.1", "--max-tokens", "400").exit_code == 0
    started = time.monotonic()
    body = ask(app, ENDLESS, backend="onnx", stream=True).json
    assert body["backends"] == {"onnx": "timeout"}
    assert time.monotonic() - started < 10 and idle(app)


def test_chance_is_recorded_by_its_seed(make_writer: t.Any) -> None:
    app, _ = make_writer("--temperature", "0.1")
    body = ask(app, SURE).json
    (row,) = answers(app)
    assert body["local"]["seed"] == row.result["written"]["seed"] >= 0
    assert body["answer"] == SCRIPT["kütüphane"][0]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("stop", "given"),
    [
        # Across tokens, each of which is one letter or less here.
        ("açılır", "İşte: 09.00'da "),
        ("🙂", "İşte: 09.00'da açılır. Çiçek, ığdır, şapka "),
        # What began like it and was not is shown, at the very end too.
        ("09.00'de", SCRIPT["kütüphane"][0]),
        ("🇹🇷!?", SCRIPT["kütüphane"][0]),
    ],
)
def test_an_answer_ends_before_a_stop_string(
    make_writer: t.Any, stop: str, given: str, stream: bool
) -> None:
    app, twin = make_writer("--stop", "bambaşka", "--stop", stop)
    response = ask(app, SURE, stream=stream)
    events = events_of(response) if stream else [("done", response.json)]
    body = events[-1][1]
    assert (body["answer"], body["local"]["finish"]) == (given, "stop") and not twin.asked
    if stream:
        assert "".join(data["text"] for name, data in events if name == "delta") == given
    (record,) = app.extensions["ailydian"].registry.versions()
    assert record.preprocessing["stop"] == ["bambaşka", stop]
    tokens = len(generation_models.tokenizer().encode(SCRIPT["kütüphane"][0]).ids) + 1
    assert (body["local"]["tokens"] < tokens) == (given != SCRIPT["kütüphane"][0]) and idle(app)


def test_an_answer_that_is_cut_shows_what_only_began_like_a_stop_string(make_writer: t.Any) -> None:
    app, _ = make_writer("--stop", "şğşx", "--max-tokens", "6")
    body = ask(app, ENDLESS).json
    # Two tokens a letter.
    assert (body["answer"], body["local"]["finish"]) == ("şğş", "length")


def test_top_p_keeps_an_answer_to_what_is_probable(make_writer: t.Any, folder: Path) -> None:
    # Without it, chance at this temperature writes another text each time.
    app, _ = make_writer("--temperature", "2", "--top-p", "0.05", "--threshold", "0.1")
    for _ in range(3):
        assert ask(app, UNSURE).json["answer"] == SCRIPT["otopark"][0]
    config = json.loads((folder / "genai_config.json").read_text())
    config["search"] |= {"do_sample": True, "top_p": 0.25, "temperature": 0.9}
    (folder / "genai_config.json").write_text(json.dumps(config))
    (folder / "generation_config.json").write_text(json.dumps({"stop_strings": "saati"}))
    assert add(app, folder, name="other").exit_code == 0
    with app.app_context():
        recipe = current_ailydian.registry.get("other", "v1").preprocessing
    # What the folder says, but no chance that nobody asked for.
    assert (recipe["top_p"], recipe["stop"]) == (0.25, ["saati"]) and "temperature" not in recipe


def change(folder: Path, **more: t.Any) -> None:
    config = json.loads((folder / "genai_config.json").read_text())
    config["model"]["decoder"] |= more
    (folder / "genai_config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"session_options": {"custom_ops_library": "mine.so"}}, "library of operators"),
        ({"filename": "../model.onnx"}, "outside its folder"),
        ({"filename": "/etc/model.onnx"}, "outside its folder"),
        ({"filename": "other.onnx"}, "not in its folder"),
        ({"pipeline": [{"embeddings": {}}]}, "more than one decoder"),
    ],
)
def test_a_folder_that_reaches_beyond_itself_is_refused(
    make_app: t.Any, folder: Path, more: dict[str, t.Any], said: str
) -> None:
    app = make_app()
    change(folder, **more)
    result = add(app, folder)
    assert result.exit_code == 1 and said in result.output, result.output


def test_a_folder_that_lacks_what_it_takes_is_told_so(make_app: t.Any, folder: Path) -> None:
    app = make_app()
    (folder / "genai_config.json").write_text("[]")
    assert "not a JSON object" in add(app, folder).output
    (folder / "genai_config.json").unlink()
    assert "`end` lists the tokens" in add(app, folder).output
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": 259}))
    (folder / "chat_template.jinja").write_text("{% for")
    assert "cannot be rendered" in add(app, folder).output
    (folder / "chat_template.jinja").unlink()
    result = add(app, folder)
    assert result.exit_code == 0, result.output
    (folder / "tokenizer.json").unlink()
    assert "do not fit 'text-generation'" in add(app, folder, name="other").output


def test_it_is_asked_with_queries_alone(make_writer: t.Any) -> None:
    app, _ = make_writer()
    given = {"model_name": "yazar", "text": "merhaba"}
    response = app.test_client().post("/api/pytorch/inference", json=given)
    assert response.status_code == 422 and "answered at /query" in response.text


def test_without_the_extra_one_sentence_says_what_to_install(
    make_writer: t.Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, _ = make_writer()
    doctor = app.test_cli_runner().invoke(args=["ailydian", "doctor"])
    assert "yazar v1 answers" in doctor.output, doctor.output
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    assert 'pip install "flask-ailydian[generation]"' in add(app, folder, name="other").output
    doctor = app.test_cli_runner().invoke(args=["ailydian", "doctor"])
    assert doctor.exit_code == 1
    assert 'pip install "flask-ailydian[generation]"' in doctor.output


def test_the_confidence_is_that_of_the_beginning(make_writer: t.Any) -> None:
    app, _ = make_writer()
    # What comes after the beginning does not change it: a stream and an answer agree.
    few = ask(app, UNSURE, backend="onnx", max_tokens=SURE_AFTER).json["local"]["confidence"]
    all_of_it = ask(app, UNSURE, backend="onnx").json["local"]["confidence"]
    assert few == all_of_it
