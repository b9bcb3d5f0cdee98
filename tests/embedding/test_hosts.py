"""The host behaves the same before and after ``init_app``."""

from __future__ import annotations

import typing as t
from pathlib import Path

import flask_smorest
import marshmallow as ma
import pytest
from flask import abort
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from hosts import NamedBase

from flask_ailydian import current_ailydian
from flask_ailydian import FlaskAilydian

MakeApp = t.Callable[..., Flask]


def test_without_sqlalchemy_the_remedy_is_named() -> None:
    with pytest.raises(RuntimeError, match=r"Call SQLAlchemy\(app\)"):
        FlaskAilydian(Flask("bare"))


def test_a_second_registration_is_refused(make_app: MakeApp) -> None:
    with pytest.raises(RuntimeError, match="already registered"):
        FlaskAilydian(make_app())


def test_an_unknown_key_stops_the_app(make_app: MakeApp) -> None:
    with pytest.raises(RuntimeError, match="AILYDIAN_TREADS"):
        make_app(AILYDIAN_TREADS=1)


def test_outside_an_extended_app_the_proxy_says_so() -> None:
    app = Flask("bare")
    with app.app_context(), pytest.raises(RuntimeError, match=r"FlaskAilydian\(app\)"):
        _ = current_ailydian.settings


def test_the_host_keeps_its_own_error_pages(make_app: MakeApp) -> None:
    app = make_app(own_pages=True)

    @app.route("/gone")
    def gone() -> t.NoReturn:
        abort(404)

    @app.route("/crash")
    def crash() -> t.NoReturn:
        raise ValueError("host")

    client = app.test_client()
    assert client.get("/nowhere").text == "<h1>host 404</h1>"
    assert client.get("/gone").text == "<h1>host 404</h1>"
    assert client.post("/gone").text == "<h1>host 405</h1>"
    assert client.get("/crash").text == "<h1>host oops</h1>"
    assert "X-Request-ID" not in client.get("/nowhere").headers


def test_our_errors_keep_their_shape_in_a_host_with_pages_of_its_own(make_app: MakeApp) -> None:
    client = make_app(own_pages=True).test_client()
    for response, status in (
        (client.get("/api/pytorch/nowhere"), 404),
        (client.get("/api/pytorch/inference"), 405),
        (client.post("/api/pytorch/inference", data="{", content_type="application/json"), 400),
        (client.delete("/api/pytorch/models/a/b"), 401),
    ):
        assert response.status_code == status
        assert response.mimetype == "application/problem+json"
        assert response.json["success"] is False


def test_a_crash_of_ours_shows_nothing(make_app: MakeApp, caplog: t.Any) -> None:
    app = make_app(own_pages=True)
    ailydian: FlaskAilydian = app.extensions["test_ailydian"]

    @ailydian.gate.may
    def may(actor: t.Any, action: str) -> bool:
        raise ValueError("the host's own secret")

    response = app.test_client().get("/api/pytorch/models")
    assert (response.status_code, response.json["error"]) == (500, "internal_error")
    assert "secret" not in response.text
    assert response.json["id"] in caplog.text


def test_a_host_with_flask_smorest_keeps_its_own_openapi(tmp_path: Path) -> None:
    app = Flask("smorest", instance_path=str(tmp_path / "instance"))
    app.config.update(
        SQLALCHEMY_DATABASE_URI="sqlite://",
        API_TITLE="Host",
        API_VERSION="1",
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX="/",
    )
    db = SQLAlchemy(app)
    api = flask_smorest.Api(app)
    blueprint = flask_smorest.Blueprint("pets", __name__, url_prefix="/pets")

    class Pet(ma.Schema):
        name = ma.fields.String()

    @blueprint.route("/")
    @blueprint.response(200, Pet)
    def pet() -> dict[str, str]:
        return {"name": "Boncuk"}

    api.register_blueprint(blueprint)
    client = app.test_client()
    before = client.get("/openapi.json").json
    app2 = Flask("smorest", instance_path=str(tmp_path / "instance2"))
    app2.config.update(app.config)
    db2 = SQLAlchemy(app2)
    api2 = flask_smorest.Api(app2)
    FlaskAilydian(app2)
    api2.register_blueprint(blueprint)
    client = app2.test_client()
    assert client.get("/openapi.json").json == before
    assert client.get("/pets/").json == {"name": "Boncuk"}
    assert client.get("/nowhere").json["code"] == 404
    assert client.get("/api/pytorch/nowhere").json["error"] == "not_found"
    for made, owner in ((db, app), (db2, app2)):
        with owner.app_context():
            made.engine.dispose()


def test_two_apps_in_one_process_do_not_mix(make_app: MakeApp) -> None:
    one = make_app(AILYDIAN_URL_PREFIX="/one", AILYDIAN_MAX_IMAGE_BYTES=1)
    two = make_app(AILYDIAN_URL_PREFIX="/two")
    assert one.test_client().get("/one/health").status_code == 200
    assert one.test_client().get("/two/health").status_code == 404
    assert two.test_client().get("/two/health").status_code == 200
    with one.app_context():
        assert current_ailydian.settings.max_image_bytes == 1
    with two.app_context():
        assert current_ailydian.settings.max_image_bytes == 10 * 2**20


def test_one_extension_object_serves_an_app_factory(tmp_path: Path) -> None:
    ailydian = FlaskAilydian()
    hooked = []
    ailydian.blueprint.before_request(lambda: hooked.append(1))
    app = Flask("factory", instance_path=str(tmp_path / "instance"))
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    SQLAlchemy(app)
    ailydian.init_app(app)
    assert app.test_client().get("/api/pytorch/health").status_code == 200
    assert hooked == [1]


def test_a_naming_convention_of_the_host_is_kept(make_app: MakeApp) -> None:
    app = make_app(base=NamedBase)
    table = app.extensions["ailydian"].tables.Model.__table__
    names = {str(c.name) for c in table.constraints}
    assert "uq_pytorch_models_model_name_model_version" in names


def test_the_gate_is_asked_and_until_then_nobody_manages(make_app: MakeApp) -> None:
    app = make_app()
    ailydian: FlaskAilydian = app.extensions["test_ailydian"]
    client = app.test_client()
    assert client.delete("/api/pytorch/models/a/b").status_code == 401
    assert client.get("/api/pytorch/models").status_code == 200
    who = {"id": "ayşe"}
    ailydian.gate.actor(lambda: who["id"])
    assert client.delete("/api/pytorch/models/a/b").status_code == 403
    ailydian.gate.may(lambda actor, action: actor == "admin")
    assert client.get("/api/pytorch/models").status_code == 403
    who["id"] = "admin"
    assert client.delete("/api/pytorch/models/a/b").status_code == 404
