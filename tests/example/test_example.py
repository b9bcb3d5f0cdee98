"""The example host, as its users and its operator meet it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from databases import database
from flask import Flask
from flask.testing import FlaskClient

from example_app import create_app
from example_app import phantom
from example_app.commands import create_user

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def make_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> t.Iterator[t.Callable[[], Flask]]:
    monkeypatch.setenv("EXAMPLE_INSTANCE", str(tmp_path / "instance"))
    made: list[Flask] = []

    def make() -> Flask:
        made.append(create_app())
        return made[-1]

    yield make
    for app in made:
        with app.app_context():
            app.extensions["ailydian"].audit.close()
            app.extensions["sqlalchemy"].engine.dispose()


@pytest.fixture
def example(make_example: t.Callable[[], Flask]) -> Flask:
    app = make_example()
    run = app.test_cli_runner().invoke(args=["db", "upgrade"])
    assert run.exit_code == 0, run.output
    with app.app_context():
        create_user("ayşe", "a long password", admin=False)
        create_user("admin", "a long password", admin=True)
    return app


def sign_in(client: FlaskClient, name: str, password: str = "a long password") -> t.Any:
    page = client.get("/login").text
    token = re.search(r'name="token" value="([^"]+)"', page)[1]  # type: ignore[index]
    form = {"name": name, "password": password, "token": token}
    return client.post("/login", data=form)


def test_people_sign_in_and_out(example: Flask) -> None:
    client = example.test_client()
    assert client.get("/cases").status_code == 302
    assert "not right" in sign_in(client, "ayşe", "wrong").text
    assert sign_in(client, "ayşe").status_code == 302
    page = client.get("/cases").text
    token = re.search(r'name="token" value="([^"]+)"', page)[1]  # type: ignore[index]
    client.post("/cases", data={"title": "Dosya <1>", "token": token})
    assert "Dosya &lt;1&gt;" in client.get("/cases").text
    assert client.post("/cases", data={"title": "forged"}).status_code == 400
    client.post("/logout", data={"token": token})
    assert client.get("/cases").status_code == 302


def test_the_host_keeps_its_pages(example: Flask) -> None:
    client = example.test_client()
    assert "own page" in client.get("/nowhere").text
    assert "unsafe" not in client.get("/").headers["Content-Security-Policy"]
    assert client.get("/api/pytorch/nowhere").json["error"] == "not_found"


def test_the_demo_model_answers_and_says_that_it_is_testing(example: Flask) -> None:
    client = example.test_client()
    response = client.post(
        "/api/pytorch/inference?model_name=chest-xray-classifier-demo",
        data=phantom.draw(),
        content_type="image/png",
    )
    assert response.status_code == 200, response.text
    assert response.json["model"]["status"] == "testing"
    assert list(response.json["probabilities"]) == ["COVID-19", "Pneumonia", "Normal"]
    assert client.get("/api/pytorch/health/ready").status_code == 200


@pytest.mark.parametrize(("name", "status"), [(None, 401), ("ayşe", 403), ("admin", 200)])
def test_only_an_admin_manages(example: Flask, name: str | None, status: int) -> None:
    client = example.test_client()
    if name:
        sign_in(client, name)
    url = "/api/pytorch/models/chest-xray-classifier-demo/v1.0.0"
    assert client.patch(url, json={"description": "x"}).status_code == status


def test_cors_is_on_our_blueprint_alone(example: Flask) -> None:
    client = example.test_client()
    headers = {
        "Origin": "https://viewer.example.org",
        "Access-Control-Request-Method": "POST",
    }
    allowed = client.options("/api/pytorch/inference", headers=headers)
    assert allowed.headers["Access-Control-Allow-Origin"] == "https://viewer.example.org"
    assert "Access-Control-Allow-Origin" not in client.get("/", headers=headers).headers
    other = client.options("/api/pytorch/inference", headers={**headers, "Origin": "https://x"})
    assert "Access-Control-Allow-Origin" not in other.headers


def test_the_host_s_limit_answers_in_our_shape(
    make_example: t.Callable[[], Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLASK_RATE_LIMIT_OF_THE_API", "2/minute")
    client = make_example().test_client()
    answers = [client.get("/api/pytorch/health") for _ in range(3)]
    assert [r.status_code for r in answers] == [200, 200, 429]
    assert answers[2].json["error"] == "overloaded"
    assert answers[2].headers["Retry-After"]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_migrations_go_up_and_down(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_example: t.Any
) -> None:
    with database(kind, tmp_path) as url:
        monkeypatch.setenv("DATABASE_URL", url)
        app = make_example()
        runner = app.test_cli_runner()
        for command in (["upgrade"], ["check"], ["downgrade", "base"], ["upgrade"]):
            run = runner.invoke(args=["db", *command])
            assert run.exit_code == 0, (command, run.output, run.exception)
        doctor = runner.invoke(args=["ailydian", "doctor"])
        assert doctor.exit_code == 0, doctor.output
        with app.app_context():
            app.extensions["ailydian"].audit.close()
            app.extensions["sqlalchemy"].engine.dispose()


def test_the_migrations_can_be_printed(make_example: t.Callable[[], Flask]) -> None:
    run = make_example().test_cli_runner().invoke(args=["db", "upgrade", "--sql"])
    assert run.exit_code == 0, run.output
    assert "CREATE TABLE pytorch_inference_logs" in run.output


def test_make_demo_shows_an_answer_and_ends(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = os.environ | {"EXAMPLE_INSTANCE": str(tmp_path)}
    command = [sys.executable, "-m", "example_app.demo", "--once", "--port", port]
    for _ in range(2):
        run = subprocess.run(
            command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=120
        )
        assert run.returncode == 0, run.stdout + run.stderr
        assert '"prediction"' in run.stdout and "Not for diagnosis" in run.stdout
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(port))) != 0
