"""Jobs, without a broker: what the workers do is called by hand here."""

from __future__ import annotations

import io
import json
import typing as t
from datetime import timedelta
from pathlib import Path

import databases
import onnx_models
import pytest
import sqlalchemy as sa
from flask import Flask
from hosts import dispose
from hosts import make_host
from pictures import encoded
from pictures import picture

from flask_ailydian import current_ailydian
from flask_ailydian.clock import now
from flask_ailydian.jobs.items import Asked
from flask_ailydian.jobs.store import Store
from flask_ailydian.registration import Declared

pytest.importorskip("celery", reason="needs Celery: pip install -e '.[jobs]'")

PICTURES = [encoded(picture(8, 8, seed=seed)) for seed in (1, 2, 3)]


@pytest.fixture(params=["sqlite", "postgresql"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> t.Iterator[Flask]:
    with databases.database(request.param, tmp_path) as url:
        scans = tmp_path / "scans"
        scans.mkdir()
        for number, data in enumerate(PICTURES):
            (scans / f"{number}.png").write_bytes(data)
        (tmp_path / "secret.txt").write_text("not for anybody")
        app = make_host(
            tmp_path,
            database=url,
            # Messages that stay in this process: the tests do the work themselves.
            AILYDIAN_JOBS_BROKER="memory://",
            AILYDIAN_JOBS_STORAGE={"scans": str(scans)},
            AILYDIAN_JOBS_MAX_ITEMS=20,
            AILYDIAN_MAX_IMAGE_BYTES=4000,
            AILYDIAN_TIMEOUT_SECONDS=5,
        )
        with app.app_context():
            declared = Declared(labels=["circle", "square", "star"], domain="medical")
            current_ailydian.registry.register(
                onnx_models.classifier(labels=3, size=8), "shapes", "v1", declared, activate=True
            )
        yield app
        dispose(app)


def submit(app: Flask, *images: bytes, headers: t.Any = None, **fields: str) -> t.Any:
    files = [(io.BytesIO(data), f"patient-{i}.png") for i, data in enumerate(images)]
    data = {"model_name": "shapes", **fields, "image": files}
    return app.test_client().post(
        "/api/pytorch/jobs", data=data, headers=headers, content_type="multipart/form-data"
    )


def work(app: Flask, id: str) -> float | None:
    with app.app_context():
        return current_ailydian.jobs.work(id, seconds=60)


def lines(app: Flask, id: str, start: int = 0) -> list[t.Any]:
    answer = app.test_client().get(
        f"/api/pytorch/jobs/{id}?from={start}", headers={"Accept": "application/x-ndjson"}
    )
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def logged(app: Flask) -> list[t.Any]:
    with app.app_context():
        table = current_ailydian.tables.InferenceLog.__table__
        with current_ailydian.db.engine.connect() as connection:
            return list(connection.execute(table.select().order_by(table.c.id)))


def kept(app: Flask) -> list[Path]:
    return [p for p in Path(app.instance_path, "ailydian", "jobs").rglob("*") if p.is_file()]


def test_a_job_is_handed_in_answered_and_read(host: Flask) -> None:
    answer = submit(host, *PICTURES, user_id="p-1")
    assert answer.status_code == 202, answer.text
    job = answer.json["job"]
    assert (job["status"], job["total"], job["waiting"]) == ("queued", 3, 3)
    assert len(kept(host)) == 3
    # Nothing of the input lies there as it came.
    assert not any(b"PNG" in path.read_bytes() for path in kept(host))
    assert work(host, job["id"]) is None
    state, *results = lines(host, job["id"])
    assert state["job"]["status"] == "done" and state["job"]["done"] == 3
    assert [line["position"] for line in results] == [0, 1, 2]
    alone = host.test_client().post(
        "/api/pytorch/inference",
        data={"model_name": "shapes", "image": (io.BytesIO(PICTURES[1]), "x.png")},
    )
    assert results[1]["result"]["probabilities"] == alone.json["probabilities"]
    assert [row.user_id for row in logged(host)[:3]] == ["p-1"] * 3
    assert kept(host) == []
    assert [line["position"] for line in lines(host, job["id"], start=2)[1:]] == [2]


def test_one_bad_input_fails_alone_and_is_on_record(host: Flask) -> None:
    job = submit(host, PICTURES[0], b"no image", PICTURES[0] + b"x" * 5000).json["job"]
    work(host, job["id"])
    state, *results = lines(host, job["id"])
    assert (state["job"]["done"], state["job"]["failed"]) == (1, 2)
    assert [line.get("error") for line in results] == [None, "invalid_image", "image_too_large"]
    assert results[1]["result"]["status"] == 400
    assert [row.status for row in logged(host)] == ["success", "failed", "failed"]


def test_a_manifest_names_files_of_a_storage_and_nothing_else(host: Flask) -> None:
    client = host.test_client()

    def ask(*entries: dict[str, str]) -> t.Any:
        body = {"model_name": "shapes", "manifest": list(entries)}
        return client.post("/api/pytorch/jobs", json=body)

    scans = {"storage": "scans"}
    job = ask(
        {**scans, "path": "2.png", "user_id": "p-2"},
        {**scans, "path": "../secret.txt"},
        {**scans, "path": "/etc/passwd"},
        {**scans, "path": "missing.png"},
    ).json["job"]
    work(host, job["id"])
    _, *results = lines(host, job["id"])
    assert [line.get("error") for line in results] == [None] + ["invalid_input"] * 3
    assert str(host.instance_path) not in json.dumps(results)
    assert logged(host)[0].user_id == "p-2"
    assert ask({"storage": "attic", "path": "2.png"}).status_code == 422


def test_what_was_answered_before_a_worker_was_killed_is_not_answered_again(host: Flask) -> None:
    job = submit(host, *PICTURES).json["job"]
    with host.app_context():
        jobs = current_ailydian.jobs
        store, items = jobs._store, jobs.items
        row = store.take(job["id"], now(), now())
        found = store.get(job["id"])
        subject = current_ailydian.audit.subjects.by_ref(row.subject_ref)
        # Killed here: the answer is on record, the item is not settled.
        first = items._body(found, items.asked(found), row, subject)
    work(host, job["id"])
    _, *results = lines(host, job["id"])
    assert results[0]["result"]["id"] == first["id"]
    assert len(logged(host)) == 3


def test_an_item_whose_worker_was_killed_before_the_answer_is_answered_by_another(
    host: Flask,
) -> None:
    job = submit(host, *PICTURES).json["job"]
    with host.app_context():
        assert current_ailydian.jobs._store.take(job["id"], now(), now()) is not None
    work(host, job["id"])
    assert lines(host, job["id"])[0]["job"]["done"] == 3
    assert len(logged(host)) == 3


def test_a_job_is_cancelled_and_its_inputs_are_gone(host: Flask) -> None:
    job = submit(host, *PICTURES).json["job"]
    client = host.test_client()
    answer = client.delete(f"/api/pytorch/jobs/{job['id']}")
    assert (answer.json["job"]["status"], answer.json["job"]["cancelled"]) == ("cancelled", 3)
    assert kept(host) == [] and work(host, job["id"]) is None and logged(host) == []
    assert client.delete(f"/api/pytorch/jobs/{job['id']}").status_code == 409
    assert client.delete("/api/pytorch/jobs/unknown").status_code == 404


def taken(host: Flask, id: str, *, until: timedelta) -> t.Any:
    """Take an item as a worker does that goes no further."""
    state = current_ailydian
    store = Store(state.audit.database, state.tables)
    return store, store.take(id, now(), now() + until)


def test_an_input_in_hand_stays_when_its_job_is_cancelled(host: Flask) -> None:
    job = submit(host, *PICTURES).json["job"]
    with host.app_context():
        store, row = taken(host, job["id"], until=timedelta(seconds=60))
        state = current_ailydian.jobs.cancel(job["id"], actor=None)
        assert (state["cancelled"], state["waiting"]) == (2, 1)
        assert [path.name for path in kept(host)] == [str(row.position)]
        # Its worker is not too late: no sweep takes it away.
        current_ailydian.jobs.sweep()
        assert len(kept(host)) == 1
        assert not store.put_back(job["id"], row.position, now())
        assert store.counts(job["id"]) == {"cancelled": 3}


def test_what_a_killed_worker_had_in_hand_goes_with_the_next_sweep(host: Flask) -> None:
    job = submit(host, *PICTURES).json["job"]
    with host.app_context():
        store, _ = taken(host, job["id"], until=timedelta(0))
        current_ailydian.jobs.cancel(job["id"], actor=None)
        assert len(kept(host)) == 1
        current_ailydian.jobs.sweep()
        assert store.counts(job["id"]) == {"cancelled": 3}
    assert kept(host) == []


def test_an_item_put_back_waits_while_its_job_goes_on(host: Flask) -> None:
    job = submit(host, *PICTURES).json["job"]
    with host.app_context():
        store, row = taken(host, job["id"], until=timedelta(seconds=60))
        assert store.put_back(job["id"], row.position, now())
    assert work(host, job["id"]) is None
    assert lines(host, job["id"])[0]["job"]["done"] == 3


def test_somebody_elses_job_does_not_exist(host: Flask) -> None:
    who = {"name": "dr-1"}
    gate = host.extensions["test_ailydian"].gate
    gate.actor(lambda: who["name"])
    gate.may(lambda actor, action: True)
    job = submit(host, *PICTURES).json["job"]
    url = f"/api/pytorch/jobs/{job['id']}"
    assert host.test_client().get(url).status_code == 200
    who["name"] = "dr-2"
    assert host.test_client().get(url).status_code == 404
    assert host.test_client().delete(url).status_code == 404


def test_the_same_key_is_the_same_job(host: Flask) -> None:
    headers = {"Idempotency-Key": "night-shift"}
    first = submit(host, *PICTURES, headers=headers).json["job"]
    again = submit(host, *PICTURES, headers=headers).json["job"]
    assert first["id"] == again["id"]
    assert len(kept(host)) == 3


@pytest.mark.parametrize(
    ("pictures", "fields"),
    [(PICTURES[:2], {}), (PICTURES, {"user_id": "p-9"}), (PICTURES, {"top_k": "1"})],
)
def test_a_key_that_is_guessed_shows_nobody_s_job(
    host: Flask, pictures: list[bytes], fields: dict[str, str]
) -> None:
    headers = {"Idempotency-Key": "night-shift"}
    first = submit(host, *PICTURES, headers=headers).json["job"]
    answer = submit(host, *pictures, headers=headers, **fields)
    assert answer.status_code == 422 and first["id"] not in answer.text
    assert list(answer.json["fields"]) == ["Idempotency-Key"]
    assert len(kept(host)) == 3


def test_erasing_a_person_empties_their_items(host: Flask) -> None:
    mine = submit(host, *PICTURES, user_id="p-3").json["job"]
    work(host, mine["id"])
    waiting = submit(host, PICTURES[0], user_id="p-3").json["job"]
    with host.app_context():
        export = json.loads("".join(current_ailydian.privacy.export("p-3")))
        assert len(export["jobs"]) == 4
        current_ailydian.privacy.erase("p-3")
        jobs = current_ailydian.jobs
        assert {line["status"] for line in jobs.results(mine["id"])} == {"erased"}
        assert jobs.state(waiting["id"])["status"] == "cancelled"
    assert kept(host) == []
    assert work(host, waiting["id"]) is None


def test_bounds_and_broken_bodies(host: Flask) -> None:
    client = host.test_client()
    assert submit(host).status_code == 422
    assert submit(host, *[PICTURES[0]] * 21).status_code == 422
    assert submit(host, PICTURES[0], model_name="nobody").status_code == 404
    late = (
        b"--b\r\nContent-Disposition: form-data; name=model_name\r\n\r\nshapes\r\n"
        b'--b\r\nContent-Disposition: form-data; name=image; filename="a"\r\n\r\nx\r\n'
        b"--b\r\nContent-Disposition: form-data; name=user_id\r\n\r\np\r\n--b--\r\n"
    )
    kind = "multipart/form-data; boundary=b"
    answer = client.post("/api/pytorch/jobs", data=late, content_type=kind)
    assert (answer.status_code, answer.json["error"]) == (422, "validation_failed")
    cut = client.post("/api/pytorch/jobs", data=late[:150], content_type=kind)
    assert (cut.status_code, cut.json["error"]) == (400, "invalid_input")
    assert client.post("/api/pytorch/jobs", data=b"x", content_type="text/plain").status_code == 415
    assert kept(host) == []


def test_too_much_that_waits_refuses_more(make_app: t.Callable[..., Flask]) -> None:
    app = make_app(AILYDIAN_JOBS_BROKER="memory://", AILYDIAN_JOBS_MAX_WAITING=2)
    with app.app_context():
        current_ailydian.registry.register(
            onnx_models.classifier(labels=3, size=8), "shapes", "v1", Declared(), activate=True
        )
    assert submit(app, *PICTURES).status_code == 202
    answer = submit(app, PICTURES[0])
    assert (answer.status_code, answer.json["error"]) == (503, "overloaded")
    assert int(answer.headers["Retry-After"]) > 0


def test_without_a_broker_the_answer_says_what_to_set(app: Flask) -> None:
    answer = submit(app, PICTURES[0])
    assert answer.status_code == 503
    assert "AILYDIAN_JOBS_BROKER" in answer.json["detail"]


def test_a_broker_that_is_away_leaves_no_job(make_app: t.Callable[..., Flask]) -> None:
    # Nothing listens on the discard port.
    app = make_app(AILYDIAN_JOBS_BROKER="redis://127.0.0.1:9/0")
    with app.app_context():
        current_ailydian.registry.register(
            onnx_models.classifier(labels=3, size=8), "shapes", "v1", Declared(), activate=True
        )
        answer = submit(app, PICTURES[0])
        assert (answer.status_code, answer.json["error"]) == (503, "backend_unavailable")
        assert current_ailydian.jobs.newest() == []
    assert kept(app) == []


def test_old_jobs_are_removed_and_overdue_ones_end(host: Flask) -> None:
    old = submit(host, PICTURES[0]).json["job"]
    work(host, old["id"])
    overdue = submit(host, *PICTURES).json["job"]
    with host.app_context():
        jobs, db = current_ailydian.tables.Job.__table__, current_ailydian.db
        long_ago = now().replace(year=2000)
        with db.engine.begin() as connection:
            mine = jobs.c.id == old["id"]
            connection.execute(jobs.update().where(mine).values(finished_at=long_ago))
            mine = jobs.c.id == overdue["id"]
            connection.execute(jobs.update().where(mine).values(expires_at=long_ago))
        current_ailydian.jobs.sweep()
        assert current_ailydian.jobs.state(overdue["id"])["status"] == "expired"
        with db.engine.connect() as connection:
            assert connection.execute(sa.select(sa.func.count()).select_from(jobs)).scalar() == 1
    assert kept(host) == []


def test_a_neglected_job_is_woken_once(host: Flask) -> None:
    job = submit(host, *PICTURES).json["job"]
    with host.app_context():
        jobs = current_ailydian.tables.Job.__table__
        with current_ailydian.db.engine.begin() as connection:
            connection.execute(jobs.update().values(woken_at=now().replace(year=2000)))
        assert current_ailydian.jobs.sweep() == 1
        assert current_ailydian.jobs.sweep() == 0
    assert work(host, job["id"]) is None


def test_draft_that_is_not_submitted_leaves_nothing(host: Flask) -> None:
    with host.app_context():
        with pytest.raises(KeyboardInterrupt):
            with current_ailydian.jobs.draft(Asked("shapes")) as draft:
                draft.upload(PICTURES[0])
                assert len(kept(host)) == 1
                raise KeyboardInterrupt
    assert kept(host) == []
