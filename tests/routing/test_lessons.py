"""Learning from the log: what is kept for it, how, for how long, and what it teaches."""

from __future__ import annotations

import json
import typing as t
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from routing.conftest import rows
from routing.test_query import API
from routing.test_query import ask

from flask_ailydian import current_ailydian
from flask_ailydian.clock import now
from flask_ailydian.errors import ValidationFailed
from flask_ailydian.routing.learning import logs
from flask_ailydian.routing.lessons import Lesson

#: Every query is of medium complexity, so that chance decides.
MEDIUM = {"AILYDIAN_ROUTER_SIMPLE_BELOW": 0, "AILYDIAN_ROUTER_MEDIUM_BELOW": 1000}
KEPT = MEDIUM | {"AILYDIAN_ROUTER_LEARN": "sealed", "AILYDIAN_PRICES": {}}
MARK = "gizli hasta 4711"


def files_with(app: Flask, text: str) -> list[str]:
    """Return the files of a host that hold *text*."""
    return [
        f.name
        for f in Path(app.root_path).rglob("*")
        if f.is_file() and text.encode() in f.read_bytes()
    ]


def said(app: Flask, id: str, rating: int) -> None:
    assert (
        app.test_client().post(f"{API}/feedback", json={"id": id, "rating": rating}).status_code
        == 200
    )


def lessons(app: Flask) -> list[Lesson]:
    with app.app_context():
        return list(current_ailydian.router.lessons.read())


def test_nothing_is_kept_unless_it_is_asked_for(make_twin: t.Any) -> None:
    app, _ = make_twin(**MEDIUM)
    ask(app, MARK, user_id="u")
    assert rows(app, "RouterLesson") == [] and files_with(app, MARK) == []


def test_what_chance_decided_is_kept_sealed_and_read_with_its_feedback(make_twin: t.Any) -> None:
    app, _ = make_twin(**KEPT)
    ids = [ask(app, f"{MARK} {n}", user_id=f"u{n}").json for n in range(6)]
    ids.append(ask(app, f"{MARK} of nobody").json)
    # What somebody asked for was not left to chance.
    ask(app, MARK, user_id="u0", backend="onnx")
    assert len(rows(app, "RouterLesson")) == 7 and files_with(app, MARK) == []
    assert lessons(app) == []
    for number, body in enumerate(ids):
        said(app, body["id"], 1 + number % 5)
    found = {lesson.text: lesson for lesson in lessons(app)}
    assert set(found) == {*(f"{MARK} {n}" for n in range(6)), f"{MARK} of nobody"}
    for number, body in enumerate(ids[:6]):
        lesson = found[f"{MARK} {number}"]
        assert lesson.value == (number % 5) / 4 and lesson.propensity == 0.5
        assert lesson.paid == (body["decision"]["backend"] == "3rdparty")


def test_an_erasure_takes_what_is_kept_of_a_person(make_twin: t.Any) -> None:
    app, _ = make_twin(**KEPT)
    for user in ("a", "b"):
        said(app, ask(app, f"{MARK} {user}", user_id=user).json["id"], 5)
    with app.app_context():
        exported = json.loads("".join(current_ailydian.privacy.export("a")))
        assert [row["query"] for row in exported["router_lessons"]] == [f"{MARK} a"]
        # A copy that was made before, in a backup say, cannot be read either.
        kept = rows(app, "RouterLesson")[0]
        current_ailydian.privacy.erase("a")
        assert [lesson.text for lesson in lessons(app)] == [f"{MARK} b"]
        assert len(rows(app, "RouterLesson")) == 1
        table = current_ailydian.tables.RouterLesson.__table__
        with current_ailydian.db.engine.begin() as connection:
            connection.execute(table.insert(), dict(kept._mapping))
    assert [lesson.text for lesson in lessons(app)] == [f"{MARK} b"]


def test_what_is_kept_ends_after_its_days(make_twin: t.Any) -> None:
    app, _ = make_twin(AILYDIAN_ROUTER_LEARN_DAYS=30, **KEPT)
    ids = [ask(app, f"soru {n}", user_id="u").json["id"] for n in range(2)]
    with app.app_context():
        table = current_ailydian.tables.RouterLesson.__table__
        with current_ailydian.db.engine.begin() as connection:
            old = table.update().where(table.c.id == ids[0])
            connection.execute(old.values(created_at=now() - timedelta(days=31)))
        current_ailydian.privacy.retain(dry_run=True)
        assert len(rows(app, "RouterLesson")) == 2
        current_ailydian.privacy.retain()
    assert [row.id for row in rows(app, "RouterLesson")] == ids[1:]


def test_what_must_not_leave_is_not_kept_either(make_twin: t.Any) -> None:
    app, _ = make_twin(AILYDIAN_REDACT=True, **KEPT)
    said(app, ask(app, "Beni 0532 123 45 67 numarasından ara", user_id="u").json["id"], 5)
    (lesson,) = lessons(app)
    assert "0532" not in lesson.text and "ara" in lesson.text

    def broken(text: str) -> list[str]:
        raise RuntimeError

    app.extensions["ailydian"].router.third_party.names = broken
    ask(app, "Ayşe kim?", user_id="u")
    assert len(rows(app, "RouterLesson")) == 1


def test_a_lesson_that_cannot_be_kept_costs_nothing_else(make_twin: t.Any) -> None:
    app, _ = make_twin(**KEPT)
    with app.app_context(), current_ailydian.db.engine.begin() as connection:
        current_ailydian.tables.RouterLesson.__table__.drop(connection)
    assert ask(app, "soru", user_id="u").status_code == 200


def test_the_means_of_both_backends_come_out_right() -> None:
    chance = np.random.default_rng(0)
    made = []
    for _ in range(20_000):
        hard = chance.random() < 0.5
        p = 0.8 if hard else 0.3
        paid = bool(chance.random() < p)
        worth = (0.9 if paid else 0.3) if hard else 0.8
        text = "zor" if hard else "kolay"
        made.append(Lesson(text, paid, p if paid else 1 - p, float(chance.random() < worth)))
    found = logs.labelled(made)
    hard = np.array([text == "zor" for text in found.texts])
    assert found.outcomes.gain[hard].mean() == pytest.approx(0.6, abs=0.03)
    assert found.outcomes.gain[~hard].mean() == pytest.approx(0.0, abs=0.03)


@pytest.mark.parametrize(("paid", "said"), [(0.0, "no better"), (None, "are needed")])
def test_a_log_that_cannot_teach_gets_a_sentence(paid: float | None, said: str) -> None:
    made = [Lesson("x", False, 0.5, 1.0)] * 80
    if paid is not None:
        made += [Lesson("y", True, 0.5, paid)] * 80
    with pytest.raises(ValidationFailed, match=said):
        logs.labelled(made)


def test_the_command_learns_from_the_log(make_twin: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
    app, _ = make_twin(**KEPT)
    run = app.test_cli_runner().invoke
    result = run(args=["ailydian", "router", "train", "--from", "logs", "--version", "v1"])
    assert result.exit_code == 1 and "AILYDIAN_ROUTER_LEARN=sealed" in result.output
    chance = np.random.default_rng(1)
    made = []
    for number in range(600):
        hard, paid = number % 2 == 0, bool(chance.random() < 0.5)
        text = f"{'integral ispat' if hard else 'merhaba otopark'} {number}"
        made.append(Lesson(text, paid, 0.5, float(paid or not hard)))
    with app.app_context():
        monkeypatch.setattr(current_ailydian.router.lessons, "read", lambda: iter(made))
        args = ["ailydian", "router", "train", "--from", "logs", "--version", "v1", "--json"]
        found = json.loads(run(args=args).output)
    assert found["labels"] == 600 and found["apgr"] > found["apgr_of_words"]
