"""Routers that learn: the measures, the model, its ONNX file, the commands."""

from __future__ import annotations

import csv
import json
import sys
import time
import typing as t
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from flask_ailydian.engine.onnx_engine import OnnxEngine
from flask_ailydian.errors import ModelFailed
from flask_ailydian.errors import ModelNotFound
from flask_ailydian.registration import Declared
from flask_ailydian.routing import surface
from flask_ailydian.routing.complexity import Thresholds
from flask_ailydian.routing.learning import gains
from flask_ailydian.routing.learning import measures
from flask_ailydian.routing.learning import tables
from flask_ailydian.routing.learning import textgraph
from flask_ailydian.routing.learning.measures import Outcomes
from flask_ailydian.routing.learning.replay import Logged
from flask_ailydian.routing.learning.replay import replay

HARD = ("integral", "sözleşme", "tomografi", "ispat")
EASY = ("merhaba", "saat", "otopark", "adres")


def made(count: int, *, signal: bool = True, seed: int = 0) -> tuple[list[str], Outcomes]:
    """Queries of which the paid backend answers some better: those with hard words, if *signal*."""
    chance = np.random.default_rng(seed)
    texts, weak = [], []
    for _ in range(count):
        hard = chance.random() < 0.5
        words = chance.choice(HARD if hard else EASY, 2)
        filler = " ".join(["lütfen"] * int(chance.integers(1, 9)))
        texts.append(f"{words[0]} {filler} {words[1]}")
        weak.append(float(chance.random() > (0.8 if hard and signal else 0.2)))
    return texts, Outcomes(np.array(weak), np.ones(count))


def written(path: Path, texts: list[str], outcomes: Outcomes) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["query", "weak", "strong", "group"])
        for i, (text, weak) in enumerate(zip(texts, outcomes.weak, strict=True)):
            writer.writerow([text, weak, 1, f"g{i % 7}"])
    return path


def test_the_measures_on_a_case_worked_by_hand() -> None:
    outcomes = Outcomes(np.array([0.0, 1.0, 0.0, 1.0]), np.ones(4))
    # Both gains first: the curve is 0, .5, 1, 1, 1.
    best = np.array([4.0, 1.0, 3.0, 2.0])
    recovery = measures.Ranking(best, outcomes).recovery()
    assert recovery.apgr() == pytest.approx((0.25 + 0.75 + 1 + 1) / 4)
    assert recovery.cpt(0.5) == 0.25 and recovery.cpt(0.8) == 0.5
    assert recovery.apgr_11() == pytest.approx((0 + 0.2 + 0.4 + 0.6 + 0.8 + 6 * 1) / 11)
    # Three with the same score are sent together: each gives two thirds of a gain.
    tied = measures.Ranking(np.array([1.0, 0.0, 1.0, 1.0]), outcomes).recovery()
    assert tied.share.tolist() == [0, 1, 1] and tied.sent.tolist() == [0, 3, 4]
    assert tied.cpt(0.5) == 0.5 and tied.cpt(0.8) == 0.75
    assert measures.curve(best, outcomes, 3) == [[0.0, 0.5], [0.5, 1.0], [1.0, 1.0]]


@given(st.integers(2, 60), st.integers(1, 30), st.integers(0, 1000))
def test_a_sample_is_measured_as_a_table_of_its_own(count: int, levels: int, seed: int) -> None:
    chance = np.random.default_rng(seed)
    scores = chance.integers(0, levels, count).astype(float)
    weak, strong = chance.integers(0, 2, (2, count)).astype(float)
    outcomes = Outcomes(weak, strong)
    rows = chance.integers(0, count, count)
    if outcomes.take(rows).gain.sum() > 0:
        sampled = measures.Ranking(scores, outcomes).recovery(np.bincount(rows, minlength=count))
        alone = measures.Ranking(scores[rows], outcomes.take(rows)).recovery()
        for name, measure in measures.MEASURES.items():
            assert measure(sampled) == pytest.approx(measure(alone)), name


@given(st.integers(2, 60), st.integers(0, 1000))
def test_without_a_ranking_half_of_the_area_is_recovered(count: int, seed: int) -> None:
    chance = np.random.default_rng(seed)
    outcomes = Outcomes(chance.random(count) - 0.1, np.ones(count))
    assert measures.apgr(np.zeros(count), outcomes) == pytest.approx(0.5)


@given(st.lists(st.sampled_from([0.0, 1.0, 2.5]), min_size=1, max_size=40))
def test_ranks_keep_the_order_and_the_ties(values: list[float]) -> None:
    found = measures.ranks(np.array(values))
    assert found.mean() == pytest.approx(0.5) and ((found > 0) & (found < 1)).all()
    for a in range(len(values)):
        for b in range(len(values)):
            assert (found[a] < found[b]) == (values[a] < values[b])


def test_a_gain_that_words_show_is_learned_and_exported_as_it_is() -> None:
    texts, outcomes = made(600)
    read = [gains.read(text) for text in texts]
    expected = gains.cross_validated(read, outcomes)
    scores = gains.together(expected)
    # A router that knew who is hard would reach 0.65.
    assert measures.apgr(scores, outcomes) > 0.6
    model = gains.fit(read, outcomes)
    engine = OnnxEngine(gains.export(model, expected), threads=1)
    spent, ranked = [], []
    for text in texts[:200]:
        begun = time.perf_counter()
        arrays = {"text": np.array([text], object), "looks": surface.features(text)[None, :]}
        rank = engine.run(arrays, deadline=None)["rank"]
        spent.append(time.perf_counter() - begun)
        ranked.append(float(rank[0, 0]))
    assert sorted(spent)[50] < 0.0015
    wanted = model.gains(read)[:, 0]
    steps = np.quantile(expected, np.linspace(0, 1, gains.QUANTILES + 2)[1:-1])
    shares = (wanted[:200, None] > steps).mean(axis=1)
    assert np.median(np.abs(shares - ranked)) < 0.02


@given(st.text(max_size=300))
def test_every_text_has_the_same_number_of_looks_and_all_are_numbers(text: str) -> None:
    found = surface.features(text)
    assert found.shape == (surface.WIDTH,) and np.isfinite(found).all()


def test_the_looks_of_a_text_are_what_they_say() -> None:
    looks = surface.features("Bir soru?\nA. 12 elma\nB. 7\nAnswer:")
    # Characters, words and figures of all; characters and figures of the first line, lines.
    assert looks[:3] == pytest.approx(np.log1p([33, 8, 3]))
    assert looks[20:23] == pytest.approx(np.log1p([9, 0, 3]))
    # The question alone, and it is one; the choices without their letters.
    assert looks[28:30] == pytest.approx(np.log1p([9, 2])) and looks[38:40].tolist() == [1, 1]
    assert looks[43] == 2 and looks[44:47] == pytest.approx(np.log1p([4, 7, 1]))
    # Both choices have a figure; both are numbers, one with its unit.
    assert looks[56:58].tolist() == [1, 1]


def test_sentences_that_have_vectors_are_compared_with_those_that_are_known(
    run: t.Any, tmp_path: Path
) -> None:
    texts, outcomes = made(300)
    # Files are less clean than requests.
    texts[7] += " \x80\x94"
    source = written(tmp_path / "labels.csv", texts, outcomes)
    grams = sorted({gram for text in texts for gram in textgraph.grams(text)}, key=len)[:400]
    nodes, constants = textgraph.front(grams)
    data = textgraph.model(nodes, constants, ("features", ["n", len(grams)]), {})
    more = ("--embeddings", "sentences", "--json")
    with run.app.app_context():
        registry = run.app.extensions["ailydian"].registry
        declared = Declared(domain="chat", task="text-embedding")
        registry.register(data, "sentences", "v1", declared, activate=True)
    said = json.loads(run("train", "--from", source, "--version", "v1", *more).output)
    assert said["apgr"] > 0.58
    found = json.loads(run("evaluate", "--on", source, *more).output)["rankings"]
    assert found["learned, cross-validated"]["apgr"] == said["apgr"]
    with run.app.app_context():
        scoring = run.app.extensions["ailydian"].router.scoring
        asked = made(60, seed=9)[0]
        scores = np.array([scoring.of(text, "learned:router").score for text in asked])
        hard = np.array([any(word in text for word in HARD) for text in asked])
        assert scores[hard].mean() > scores[~hard].mean() + 20
        # Vectors of another model are no vectors of this one.
        registry.update("sentences", "v1", status="inactive")
        with pytest.raises(ModelNotFound):
            scoring.of("merhaba", "learned:router")


def test_vectors_that_help_nobody_are_left_out(run: t.Any, tmp_path: Path) -> None:
    source = written(tmp_path / "labels.csv", *made(300))
    # Of what no text has: every vector is the same.
    nodes, constants = textgraph.front([(26, 26, 26)])
    data = textgraph.model(nodes, constants, ("features", ["n", 1]), {})
    with run.app.app_context():
        registry = run.app.extensions["ailydian"].registry
        declared = Declared(domain="chat", task="text-embedding")
        registry.register(data, "nothing", "v1", declared, activate=True)
    args = ("train", "--from", source, "--version", "v1", "--embeddings", "nothing")
    assert "Without nothing" in run(*args).output
    with run.app.app_context():
        record = run.app.extensions["ailydian"].registry.get("router", "v1")
        assert [spec.name for spec in record.inputs] == ["text", "looks"]


def test_a_router_of_another_version_is_not_asked(run: t.Any, tmp_path: Path) -> None:
    texts, outcomes = made(300)
    read = [gains.read(text) for text in texts]
    model = onnx.load_from_string(gains.export(gains.fit(read, outcomes), np.zeros((3, 1))))
    (entry,) = (e for e in model.metadata_props if e.key == "ailydian.surface")
    entry.value = "0"
    with run.app.app_context():
        state = run.app.extensions["ailydian"]
        state.registry.register(model.SerializeToString(), "old", "v1", Declared(domain="chat"))
        with pytest.raises(ModelFailed, match="train it again"):
            state.router.scoring.of("merhaba", "learned:old")


def test_without_the_package_training_says_what_to_install(
    run: t.Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = written(tmp_path / "labels.csv", *made(100))
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    result = run("train", "--from", source, "--version", "v1")
    assert result.exit_code == 1 and "flask-ailydian[learn]" in result.output


def test_texts_of_one_group_stay_on_one_side() -> None:
    groups = [f"g{i % 11}" for i in range(200)]
    folds = gains.folds_of(200, groups)
    assert all(len({f for f, g in zip(folds, groups, strict=True) if g == n}) == 1 for n in groups)


@pytest.fixture
def run(make_app: t.Any) -> t.Iterator[t.Any]:
    app: Flask = make_app()

    def call(*args: str | Path) -> t.Any:
        result = app.test_cli_runner().invoke(args=["ailydian", "router", *map(str, args)])
        assert "Traceback" not in result.output
        return result

    call.app = app  # type: ignore[attr-defined]
    yield call


def test_a_learned_router_is_trained_registered_and_used(
    run: t.Any, make_app: t.Any, tmp_path: Path
) -> None:
    source = written(tmp_path / "labels.csv", *made(400))
    said = json.loads(run("train", "--from", source, "--version", "v1", "--json").output)
    assert said["apgr"] > said["apgr_of_words"] and said["model"] == "router v1"
    state = run.app.extensions["ailydian"]
    with run.app.app_context():
        hard = state.router.scoring.of("integral ispat", "learned:router")
        easy = state.router.scoring.of("merhaba otopark", "learned:router")
    assert hard.score > 50 > easy.score and hard.profile == "learned:router"
    drawing = tmp_path / "curves.svg"
    args = ("evaluate", "--on", source, "--model", "router", "--picture", drawing, "--json")
    whole = json.loads(run(*args).output)
    found = whole["rankings"]
    assert 0 < whole["milliseconds"]["p50"] <= whole["milliseconds"]["p99"]
    assert set(found) >= {"random", "oracle", "words", "tr-v1", "document-2025", "learned:router"}
    assert found["oracle"]["apgr"] > found["learned:router"]["apgr"] > found["words"]["apgr"]
    low, high = found["random"]["apgr_interval"]
    assert low < 0.5 < high
    assert len(ElementTree.fromstring(drawing.read_text()).findall("{*}polyline")) == 6


def test_a_model_that_is_no_better_than_counting_words_is_refused(
    run: t.Any, tmp_path: Path
) -> None:
    texts, outcomes = made(300, signal=False, seed=3)
    # Length tells everything here, and letters nothing.
    counts = np.array([len(text.split()) for text in texts])
    outcomes = Outcomes((counts < np.median(counts)).astype(float), np.ones(300))
    source = written(tmp_path / "labels.csv", texts, outcomes)
    result = run("train", "--from", source, "--version", "v1")
    assert result.exit_code == 1 and "number of words" in result.output
    with run.app.app_context():
        assert run.app.extensions["ailydian"].registry.versions() == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("query,weak\na,1\n", "columns"),
        ("query,weak,strong\n" + "a,x,1\n" * 60, "numbers"),
        ("query,weak,strong\n" + "a,1,1\n" * 60, "no better"),
        ("query,weak,strong\n" + "a,nan,1\n" * 60, "no numbers"),
    ],
)
def test_a_file_that_cannot_teach_gets_a_sentence(
    run: t.Any, tmp_path: Path, text: str, said: str
) -> None:
    source = tmp_path / "labels.csv"
    source.write_text(text)
    result = run("train", "--from", source, "--version", "v1")
    assert result.exit_code == 1 and said in result.output


def test_a_threshold_is_found_for_a_share_and_for_money(run: t.Any, tmp_path: Path) -> None:
    source = tmp_path / "queries.csv"
    rows = ["merhaba"] * 70 + ["hastanın ilacı"] * 20 + ["analiz et ve hasta için karşılaştır"] * 10
    source.write_text("query\n" + "\n".join(rows), "utf-8")
    found = json.loads(run("calibrate", "--on", source, "--budget", "0.30", "--json").output)
    assert (found["threshold"], found["paid_share"]) == (30, 0.3)
    args = ("calibrate", "--on", source, "--budget", "2.10usd", "--queries", "1000", "--json")
    found = json.loads(run(*args).output)
    # A thousand local answers take ten cents of it, the rest pays for a tenth.
    assert found["wanted_share"] == 0.1005 and found["paid_share"] == 0.1
    assert run("calibrate", "--on", source, "--budget", "3").exit_code == 1
    assert "no queries" in run("calibrate", "--budget", "0.3").output


def test_a_replay_weighs_what_the_log_chose_by_chance() -> None:
    thresholds = Thresholds()
    log = [Logged(40, True, 0.25, 20_000_000, 1.0), *[Logged(40, False, 0.75, 100_000, 0.5)] * 3]
    found = replay(log, thresholds, 0.5)
    assert found["cost_per_query"] == pytest.approx((0.02 + 0.0001) / 2, abs=1e-9)
    assert found["value_per_query"] == 0.75 and found["paid_share"] == 0.5
    same = replay(log, thresholds, 0.25)
    assert same["effective_queries"] == 4.0
    # What was always sent home says nothing of a policy that would have paid for it.
    fixed = [Logged(10, False, 1.0, 100_000)] * 5
    assert replay(fixed, Thresholds(0, 5), 0.5)["unsupported"] == 1.0
    assert replay(fixed, thresholds, 0.5)["unsupported"] == 0.0
    assert replay([], thresholds, 0.5)["cost_per_query"] is None


def test_the_log_of_an_app_is_replayed(run: t.Any) -> None:
    run.app.test_client().post("/api/pytorch/query", json={"query": "Merhaba"})
    found = json.loads(run("replay", "--json").output)
    assert found["queries"] == 1 and found["paid_share"] == 0


@pytest.fixture(scope="module")
def mmlu() -> tables.Labelled:
    path = Path(__file__).parents[3] / "shared" / "data" / "router" / "mmlu_dev.csv"
    if not path.is_file():
        pytest.skip("no router data here; put mmlu_dev.csv into ../shared/data/router")
    return tables.read(path)


def test_on_subjects_it_has_not_seen_it_ranks_better_than_words(mmlu: tables.Labelled) -> None:
    read = [gains.read(text) for text in mmlu.texts]
    scores = gains.together(gains.cross_validated(read, mmlu.outcomes, mmlu.groups))
    words = np.array([float(len(text.split())) for text in mmlu.texts])
    mine, theirs = (measures.apgr(x, mmlu.outcomes) for x in (scores, words))
    assert mine >= 0.60 and mine > theirs + 0.03
