"""Two masters of four workers each, as on two hosts: what one is told, all go by.

``AILYDIAN_SOAK_SECONDS=300`` is the long form.
"""

from __future__ import annotations

import base64
import collections
import concurrent.futures
import contextlib
import dataclasses
import itertools
import os
import signal
import threading
import time
import typing as t
from pathlib import Path

import onnx_models
import pytest
import sqlalchemy as sa
from databases import database
from flask import Flask
from hosts import dispose
from many_host import make
from pictures import data_uri
from pictures import encoded
from servers import serve
from servers import Server

from flask_ailydian import current_ailydian
from flask_ailydian.experiments.plan import Plan
from flask_ailydian.registration import Declared

pytestmark = pytest.mark.alone

SOAK = float(os.environ.get("AILYDIAN_SOAK_SECONDS", "15"))
SWITCH = 2.0
#: How long, in seconds, a version that was replaced may still answer.
STALE = 1.0
KEY = base64.b64encode(b"k" * 32).decode()


@dataclasses.dataclass
class Fleet:
    """Two masters on loopback, and an app of the same deployment in this process."""

    app: Flask
    url: str
    masters: list[Server]

    def ask(
        self, number: int, path: str, body: t.Any, **headers: str
    ) -> tuple[int, dict[str, t.Any]]:
        """Send a request to one of the masters, on a connection of its own."""
        master = self.masters[number % 2]
        return master.ask("POST", f"/api/pytorch{path}", body, **headers)[:2]


@pytest.fixture
def fleet(tmp_path: Path) -> t.Iterator[Fleet]:
    with database("postgresql", tmp_path) as url, contextlib.ExitStack() as stack:
        config = {
            "database": url,
            "AILYDIAN_MODEL_DIR": str(tmp_path / "models"),
            "AILYDIAN_HASH_KEY": "the same on every host",
            "AILYDIAN_MASTER_KEYS": [f"k1:{KEY}"],
            "AILYDIAN_BUDGET_DAY": 0.03,
        }
        (tmp_path / "here").mkdir()
        app = make(tmp_path / "here", **config)
        with app.app_context():
            current_ailydian.db.create_all()
            for seed in (1, 2):
                declared = Declared(labels=["a", "b", "c"], domain="civic")
                data = onnx_models.classifier(seed=seed)
                current_ailydian.registry.register(data, "shapes", f"v{seed}", declared)
            current_ailydian.registry.update("shapes", "v1", status="active")
        options = ("--workers", "4", "--threads", "4", "--graceful-timeout", "20")
        masters = [
            stack.enter_context(
                serve(tmp_path / name, *options, app="many_host:create_app()", **config)
            )
            for name in ("one", "two")
        ]
        yield Fleet(app, url, masters)
        dispose(app)


def _count(fleet: Fleet, what: str) -> int:
    engine = sa.create_engine(fleet.url)
    with engine.connect() as connection:
        found: int = connection.execute(sa.text(f"SELECT count(*) FROM {what}")).scalar_one()
    engine.dispose()
    return found


def test_a_switch_reaches_every_worker_within_a_second_and_nothing_fails(fleet: Fleet) -> None:
    image = data_uri(encoded())
    warm_up(fleet, image)
    seen: list[tuple[float, str]] = []
    wrong: list[t.Any] = []
    before = _count(fleet, "pytorch_inference_logs WHERE status = 'success'")
    stop = time.monotonic() + SOAK

    def client(number: int) -> None:
        for turn in itertools.count(number):
            if time.monotonic() > stop:
                return
            asked = time.monotonic()
            body = {"model_name": "shapes", "image": image}
            try:
                status, answer = fleet.ask(turn, "/inference", body)
            except OSError as error:
                wrong.append(error)
                continue
            if status == 200:
                seen.append((asked, answer["model"]["version"]))
            else:
                wrong.append(answer)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    # From when on a version is the one that answers; the first was so before anybody asked.
    switched: list[tuple[float, str]] = [(0.0, "v1")]
    with fleet.app.app_context():
        for version in itertools.cycle(("v2", "v1")):
            if time.monotonic() + SWITCH > stop:
                break
            time.sleep(SWITCH)
            current_ailydian.registry.update("shapes", version, status="active")
            switched.append((time.monotonic(), version))
            if len(switched) == 3:
                # New workers take over from the old ones, in the middle of it all.
                fleet.masters[0].process.send_signal(signal.SIGHUP)
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(switched) > 3 and {version for _, version in seen} == {"v1", "v2"}
    ended = {i: moment for i, (moment, _) in enumerate(switched[1:])}
    stale = [
        (asked, version)
        for asked, version in seen
        if not any(
            version == of and asked <= ended.get(i, asked) + STALE
            for i, (_, of) in enumerate(switched)
        )
    ]
    assert stale == []
    logged = _count(fleet, "pytorch_inference_logs WHERE status = 'success'")
    assert logged == len(seen) + before
    with fleet.app.app_context():
        assert current_ailydian.audit.inspection.verify().ok


def warm_up(fleet: Fleet, image: str) -> None:
    """Let every worker load what it needs: a fresh process takes its time on a busy machine."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        body = {"model_name": "shapes", "image": image}
        asked = [pool.submit(fleet.ask, number, "/inference", body) for number in range(64)]
        for answer in asked:
            answer.result()
    engine = sa.create_engine(fleet.url)
    with engine.begin() as connection:
        query = sa.text("SELECT count(DISTINCT chain_id) FROM pytorch_audit_events")
        # A chain for each worker that has written.
        assert connection.execute(query).scalar_one() >= 3
    engine.dispose()


def test_keys_arms_and_budgets_hold_across_all_workers(fleet: Fleet) -> None:
    with fleet.app.app_context():
        plan = Plan(unit="user")

        current_ailydian.experiments.create("arms", "shapes:v1", "shapes:v2", plan=plan)
    image = data_uri(encoded())
    answers: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    arms: dict[str, set[int]] = collections.defaultdict(set)
    backends: collections.Counter[str] = collections.Counter()
    wrong: list[t.Any] = []

    def client(number: int) -> None:
        for turn in range(12):
            key, user = f"key-{turn}", f"user-{turn % 6}"
            body = {"model_name": "shapes", "image": image, "user_id": user}
            status, answer = fleet.ask(number + turn, "/inference", body, Idempotency_Key=key)
            while status == 409:
                # Another client has the same key in hand at this moment.
                time.sleep(0.1)
                status, answer = fleet.ask(number + turn, "/inference", body, Idempotency_Key=key)
            if status != 200:
                wrong.append(answer)
                continue
            answers[key][answer["id"]] += 1
            arms[user].add(answer["model"]["version"])
            query = {"query": f"İki bulguyu karşılaştır, {number} {turn}?", "backend": "3rdparty"}
            status, answer = fleet.ask(number + turn, "/query", query)
            if status not in (200, 429, 503):
                wrong.append(answer)
            backends[answer.get("backend") or answer["error"]] += 1

    threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    # Eight clients sent each key, through both masters: one answer, one row.
    assert all(len(ids) == 1 and sum(ids.values()) == 8 for ids in answers.values())
    assert _count(fleet, "pytorch_inference_logs WHERE model_id IS NOT NULL") == len(answers) == 12
    assert {len(versions) for versions in arms.values()} == {1}
    assert {version for versions in arms.values() for version in versions} == {"v1", "v2"}
    # The budget let some through and not all.
    with fleet.app.app_context():
        spent = _count(fleet, "pytorch_query_costs WHERE actual_nano > 0")
        assert 0 < spent == backends["3rdparty"] < 96, backends
        assert current_ailydian.costs.summary()["spent"] <= 0.03
