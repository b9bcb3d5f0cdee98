"""A host that is not ours, with its own tables. Run as a program, it is its own client."""

import base64
import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import MetaData

from flask_ailydian import FlaskAilydian

app = Flask(__name__, instance_path=str(Path(__file__).parent / "instance"))
app.config["SQLALCHEMY_DATABASE_URI"] = os.environ.get("DATABASE_URL", "sqlite://")
db = SQLAlchemy(
    app,
    metadata=MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    ),
)
Migrate(app, db)


class Owner(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(80), unique=True)


class Dog(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    owner_id = db.Column(db.ForeignKey(Owner.id), index=True)


# The host had a life before.
if "BEFORE" not in os.environ:
    FlaskAilydian(app)
app.register_error_handler(404, lambda error: ("<h1>no such dog</h1>", 404))


def fetch(url: str, data: bytes | None = None, kind: str = "") -> tuple[int, bytes]:
    request = urllib.request.Request(url, data, {"Content-Type": kind} if kind else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def main(base: str, picture: str) -> None:
    api = f"{base}/api/pytorch"
    photo = Path(picture).read_bytes()
    status, body = fetch(f"{api}/health/ready")
    assert status == 200, body
    status, body = fetch(f"{api}/inference?model_name=photo", photo, "image/png")
    assert status == 200, body
    answer = json.loads(body)
    assert list(answer["probabilities"]) == ["dog", "no dog"], answer
    status, body = fetch(
        f"{api}/inference?model_name=chest-xray-classifier-demo", photo, "image/png"
    )
    assert json.loads(body)["model"]["status"] == "testing", body
    status, body = fetch(f"{api}/inference?model_name=photo", b"no picture", "image/png")
    assert (status, json.loads(body)["error"]) == (400, "invalid_image"), body
    twice = [{"image": base64.b64encode(photo).decode(), "user_id": "owner-1"}] * 2
    batch = json.dumps({"model_name": "photo", "items": [*twice, {"image": "AAAA"}]}).encode()
    status, body = fetch(f"{api}/inference/batch", batch, "application/json")
    said = json.loads(body)
    assert (status, said["succeeded"], said["failed"]) == (200, 2, 1), body
    assert said["results"][0]["probabilities"] == answer["probabilities"], body
    status, body = fetch(f"{api}/inference?model_name=photo", photo, "image/png")
    assert json.loads(body).get("cached") is True, body
    status, body = fetch(f"{api}/inference?model_name=photo&explain=true", photo, "image/png")
    assert json.loads(body)["explanation"]["grid"], body
    assert fetch(f"{base}/nowhere") == (404, b"<h1>no such dog</h1>")
    assert fetch(f"{api}/nowhere")[0] == 404
    assert json.loads(fetch(f"{api}/openapi.json")[1])["openapi"].startswith("3.1")
    assert fetch(f"{api}/docs")[0] == 200
    for name in ("ailydian.js", "ailydian/panel.js", "ailydian.d.ts", "ailydian.css"):
        assert fetch(f"{api}/static/{name}")[0] == 200, name
    for query, part in (("Merhaba", "yardımcı"), ("otopark var mı?", "otopark")):
        asked = json.dumps({"query": query}).encode()
        status, body = fetch(f"{api}/query", asked, "application/json")
        said = json.loads(body)
        assert (status, said["backend"]) == (200, "onnx") and part in said["answer"], body
    with app.app_context():
        rows = db.session.execute(
            db.text("SELECT status, count(*) FROM pytorch_inference_logs GROUP BY status")
        ).all()
        # One from the command line, eight by HTTP; two that failed.
        assert dict(map(tuple, rows)) == {"success": 9, "failed": 2}, rows
    print(json.dumps(answer, indent=2))


if __name__ == "__main__":
    main(*sys.argv[1:])
