"""``flask ailydian route`` and ``flask ailydian router …``."""

from __future__ import annotations

import csv
import time
import typing as t
from decimal import Decimal
from pathlib import Path

import click
import numpy as np

from ..clock import now
from ..errors import ValidationFailed
from ..inputs.text import without_controls
from ..registration import Declared
from ..registration import DOMAINS
from ..routing import complexity
from ..routing.complexity import Thresholds
from ..routing.learning import gains
from ..routing.learning import logs
from ..routing.learning import measures
from ..routing.learning import picture
from ..routing.learning import tables
from ..routing.learning.replay import Logged
from ..routing.learning.replay import replay as replay_log
from ..routing.turn import Asked
from ..routing.vectors import vector_of
from ..state import current_ailydian
from ..web.schemas.query import BACKENDS
from .group import ailydian
from .group import Group
from .group import json_option
from .group import print_json
from .group import print_table

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@ailydian.command("route")
@click.argument("query")
@click.option("--domain", type=click.Choice(DOMAINS), default="chat", show_default=True)
@click.option("--user-id", help="Whom the answer would be for.")
@click.option("--backend", type=click.Choice(BACKENDS), default="auto", show_default=True)
@json_option
def route(query: str, domain: str, user_id: str | None, backend: str, as_json: bool) -> None:
    """Say who would answer QUERY, and why; nobody is called."""
    found = current_ailydian.router.route(Asked(query, domain, user_id, backend))
    if as_json:
        print_json(found)
        return
    scored = found["classification"]
    click.echo(f"{found['backend']} ({found['reason']})")
    click.echo(f"score {scored['score']:g}: {scored['complexity']}, by {scored['profile']}")
    for part in scored["parts"]:
        click.echo(f"  {part['points']:+g}  {part['feature']}: {part['because']}")
    for name, state in found["available"].items():
        click.echo(f"{name}: {state}")


@ailydian.group("router", cls=Group)
def router() -> None:
    """Train, evaluate, calibrate and replay the router."""


class Source(click.Path):
    """A file, or the word ``logs``."""

    def convert(self, value: t.Any, param: t.Any, ctx: t.Any) -> t.Any:
        """Return the path, or ``None`` for the logs."""
        return None if value == "logs" else super().convert(value, param, ctx)


SOURCE = Source(exists=True, dir_okay=False, path_type=Path)
EMBEDDINGS = click.option("--embeddings", help="A registered embedding model, to look at as well.")


@router.command("train")
@click.option("--from", "source", type=SOURCE, required=True, help="CSV, or `logs`.")
@click.option("--name", default="router", show_default=True, help="What the model is called.")
@click.option("--version", required=True, help="Of the model; never replaced later.")
@EMBEDDINGS
@json_option
def train(
    source: Path | None, name: str, version: str, embeddings: str | None, as_json: bool
) -> None:
    """Learn from outcomes which queries gain by the paid backend, and register the model.

    A CSV has the columns query, weak, strong. The logs have it where AILYDIAN_ROUTER_LEARN keeps
    queries and people gave feedback on their answers.
    Refused when, cross-validated, it ranks no better than the bare number of words.
    """
    lessons = current_ailydian.router.lessons
    labelled = tables.read(source) if source else logs.labelled(lessons.read())
    read, embedding = _read(labelled.texts, embeddings)
    expected = gains.cross_validated(read, labelled.outcomes)
    mine = measures.apgr(gains.together(expected), labelled.outcomes)
    alone = measures.apgr(expected[:, 0], labelled.outcomes)
    if embedding and mine <= alone:
        # Vectors that do not help here would only cost every query their time.
        read, expected, mine, embedding = gains.without_vectors(read), expected[:, :1], alone, ""
    theirs = measures.apgr(_words(labelled.texts), labelled.outcomes)
    if mine <= theirs:
        raise ValidationFailed(
            f"Cross-validated, the model has an APGR of {mine:.3f} and the number of words "
            f"{theirs:.3f}: it is not worth having. About a thousand labels are needed."
        )
    record = current_ailydian.registry.register(
        gains.export(gains.fit(read, labelled.outcomes), expected, embedding),
        name,
        version,
        Declared(domain="chat", description=f"Cross-validated APGR {mine:.3f}."),
    )
    found: dict[str, t.Any] = {"model": f"{record.name} {record.version}", "apgr": round(mine, 4)}
    found |= {"apgr_of_words": round(theirs, 4), "labels": len(read)}
    if embeddings is not None:
        found["embeddings"] = embedding or None
    if as_json:
        print_json(found)
        return
    click.echo(f"Added {found['model']} as {record.status}: APGR {mine:.3f}, words {theirs:.3f}.")
    if embeddings is not None and not embedding:
        click.echo(f"Without {embeddings}: with it the ranking was no better.")
    click.echo(f"Use it: AILYDIAN_ROUTER_PROFILE=learned:{record.name}")


@router.command("evaluate")
@click.option("--on", "source", type=FILE, required=True, help="CSV: query, weak, strong.")
@click.option("--model", help="A registered model; without one, folds are trained here.")
@EMBEDDINGS
@click.option("--by-group", is_flag=True, help="Fold by the column `group`: unseen subjects.")
@click.option("--labels", type=click.IntRange(tables.LEAST), help="Learn from so many at most.")
@click.option("--picture", "drawing", type=click.Path(path_type=Path), help="SVG of the curves.")
@json_option
def evaluate(
    source: Path,
    model: str | None,
    embeddings: str | None,
    by_group: bool,
    labels: int | None,
    drawing: Path | None,
    as_json: bool,
) -> None:
    """Say how well rankings recover the paid backend's quality, next to random and the oracle."""
    labelled = tables.read(source)
    if by_group and labelled.groups is None:
        raise ValidationFailed(f"{source.name} has no column `group`.")
    rankings, taken = _rankings(labelled), None
    if model is not None:
        profile = f"learned:{model}"
        scoring = current_ailydian.router.scoring
        found, spent = [], []
        for text in labelled.texts:
            begun = time.perf_counter()
            found.append(scoring.of(text[:4000], profile).score)
            spent.append((time.perf_counter() - begun) * 1000)
        rankings[profile] = np.array(found)
        taken = {f"p{q}": round(float(np.percentile(spent, q)), 3) for q in (50, 95, 99)}
    else:
        read, _ = _read(labelled.texts, embeddings)
        groups = labelled.groups if by_group else None
        expected = gains.cross_validated(read, labelled.outcomes, groups, labels)
        rankings["learned, cross-validated"] = gains.together(expected)
    figures = {name: measures.figures(s, labelled.outcomes) for name, s in rankings.items()}
    curves = {name: measures.curve(s, labelled.outcomes) for name, s in rankings.items()}
    if drawing is not None:
        drawing.write_text(picture.svg(curves), "utf-8")
    if as_json:
        said = {"queries": len(labelled.texts), "rankings": figures, "curves": curves}
        print_json(said | ({"milliseconds": taken} if taken else {}))
        return
    keys = ("apgr", "apgr_11", "cpt_50", "cpt_80")
    rows = []
    for name, values in figures.items():
        low, high = values["apgr_interval"]
        rows.append((name, *(values[key] for key in keys), f"{low} to {high}"))
    print_table(("RANKING", "APGR", "11 POINTS", "CPT 50 %", "CPT 80 %", "APGR, 95 %"), rows)
    if taken:
        click.echo(f"A query took {taken['p50']} ms (median), {taken['p99']} ms (p99).")


def _read(texts: list[str], embeddings: str | None) -> tuple[list[gains.Read], str]:
    """Return what is looked at of texts, and who made their vectors."""
    if embeddings is None:
        return [gains.read(text) for text in texts], ""
    state = current_ailydian
    record = state.registry.resolve(embeddings)
    most, seconds = state.settings.max_text_chars, state.settings.timeout_seconds
    read = []
    for text in texts:
        deadline = time.monotonic() + seconds
        clean = without_controls(text[:most])
        read.append(gains.read(text, vector_of(state.inference, record, clean, deadline)))
    return read, f"{record.name} {record.version} {record.sha256}"


def _words(texts: list[str]) -> t.Any:
    return np.array([float(len(text.split())) for text in texts])


def _rankings(labelled: tables.Labelled) -> dict[str, t.Any]:
    scoring = current_ailydian.router.scoring
    chance = np.random.default_rng(0)
    return {
        "random": chance.random(len(labelled.texts)),
        "oracle": labelled.outcomes.gain.astype(float),
        "words": _words(labelled.texts),
        "tr-v1": np.array([scoring.of(text, "tr-v1").score for text in labelled.texts]),
        "document-2025": np.array([complexity.document(x).score for x in labelled.texts]),
    }


@router.command("calibrate")
@click.option("--on", "source", type=FILE, help="CSV with `query`; by default the log.")
@click.option("--budget", required=True, help="A share of paid queries (0.30), or USD (5.00usd).")
@click.option("--queries", type=click.IntRange(1), help="A day, for a budget in money.")
@json_option
def calibrate(source: Path | None, budget: str, queries: int | None, as_json: bool) -> None:
    """Find the score from which queries are paid for, for a share of them or a sum a day."""
    share = _share(budget, queries)
    if source is not None:
        scoring = current_ailydian.router.scoring
        with source.open(newline="", encoding="utf-8-sig") as file:
            texts = [row["query"] for row in csv.DictReader(file) if row.get("query")]
        scores = np.array([scoring.of(text).score for text in texts])
    else:
        scores = np.array([row.score for row in current_ailydian.costs.rows()])
    if not len(scores):
        raise ValidationFailed("There are no queries to calibrate on.")
    # Scores of rules are few and tied: the threshold never lets through more than was asked for.
    steps = [s for s in np.unique(scores) if (scores >= s).mean() <= share]
    threshold = float(min(steps)) if steps else float(scores.max()) + 1
    found: dict[str, t.Any] = {
        "threshold": threshold,
        "wanted_share": round(share, 4),
        "paid_share": round(float((scores >= threshold).mean()), 4),
        "queries": len(scores),
        "settings": {
            "AILYDIAN_ROUTER_SIMPLE_BELOW": threshold,
            "AILYDIAN_ROUTER_MEDIUM_BELOW": threshold,
        },
    }
    if as_json:
        print_json(found)
        return
    click.echo(f"Scores from {threshold:g} on: {found['paid_share']:.1%} of {len(scores)} queries.")
    for key, value in found["settings"].items():
        click.echo(f"  {key} = {value:g}")


def _share(budget: str, queries: int | None) -> float:
    text = budget.lower().removesuffix("usd")
    try:
        amount = Decimal(text)
    except ArithmeticError as error:
        raise ValidationFailed("The budget is a share (0.30) or a sum (5.00usd).") from error
    if text == budget.lower():
        if not 0 <= amount <= 1:
            raise ValidationFailed("A share is between 0 and 1; write 5.00usd for a sum.")
        return float(amount)
    if queries is None:
        raise ValidationFailed("A sum needs --queries, how many there are a day.")
    costs, day = current_ailydian.costs, now().date()
    paid = costs.paid_price(day).guess("x" * 100, 2**20)
    local = costs.local_price(day).guess("", 1)
    spare = amount - queries * local
    return float(min(max(spare / (queries * (paid - local)), Decimal(0)), Decimal(1)))


@router.command("replay")
@click.option("--simple-below", type=float, default=30, show_default=True)
@click.option("--medium-below", type=float, default=60, show_default=True)
@click.option("--split", type=click.FloatRange(0, 1), default=0.5, show_default=True)
@click.option("--outcomes", type=FILE, help="CSV: id, value; what answers were worth.")
@json_option
def replay(
    simple_below: float, medium_below: float, split: float, outcomes: Path | None, as_json: bool
) -> None:
    """Say what the logged queries would have cost under another policy (inverse propensity)."""
    values: dict[str, float] = {}
    if outcomes is not None:
        with outcomes.open(newline="", encoding="utf-8-sig") as file:
            values = {row["id"]: float(row["value"]) for row in csv.DictReader(file)}
    log = (
        Logged(
            row.score,
            row.decision["backend"] == "3rdparty",
            row.propensity,
            row.actual_nano,
            values.get(row.id),
        )
        for row in current_ailydian.costs.rows()
        if row.decision["reason"] not in ("requested", "in-house-domain")
    )
    found = replay_log(log, Thresholds(simple_below, medium_below), split)
    if as_json:
        print_json(found)
    else:
        click.echo("\n".join(f"{name}: {value}" for name, value in found.items()))
