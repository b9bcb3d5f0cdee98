"""A host app in a folder of its own, and its commands."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import typing as t
from pathlib import Path

TESTS = Path(__file__).parent

HOST = """
import os
import sys

sys.path.insert(0, {tests!r})

import click
import onnx_models
from flask import Flask
from flask_ailydian import FlaskAilydian
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = os.environ.get("HOST_DATABASE", "sqlite:///host.db")
app.config.from_prefixed_env()
db = SQLAlchemy(app)
Migrate(app, db)


class Dog(db.Model):
    id = db.Column(db.Integer, primary_key=True)


@app.get("/version")
def version():
    return {{"version": 1, "pid": os.getpid()}}


ailydian = FlaskAilydian(app)


@app.cli.command("fill")
@click.argument("what", default="model")
def fill(what):
    from flask_ailydian import current_ailydian
    from flask_ailydian.registration import Declared

    if what == "ask":
        import pictures

        current_ailydian.predict("shapes", image=pictures.encoded(), user_id="u-42")
        return
    declared = Declared(labels=["circle", "square", "star"])
    current_ailydian.registry.register(
        onnx_models.classifier(labels=3, size=8), "shapes", "v1", declared, activate=True
    )
"""


class Host:
    """A host's folder, and its commands."""

    def __init__(self, folder: Path, url: str | None) -> None:
        self.folder = folder
        self.file = folder / "instance" / "host.db"
        self.place = folder / "instance" / "ailydian" / "deploy"
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("FLASK_")}
        self.environment |= {"FLASK_APP": "app"}
        if url is not None:
            self.environment["HOST_DATABASE"] = url
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        (folder / "app.py").write_text(HOST.format(tests=str(TESTS)))

    def run(self, *args: str, fails: bool = False, **environment: str) -> str:
        result = subprocess.run(
            [sys.executable, "-m", "flask", *args],
            cwd=self.folder,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        said = result.stdout + result.stderr
        assert (result.returncode != 0) is fails, said
        assert "Traceback" not in said, said
        return said

    def deploy(self, *args: str, fails: bool = False, **environment: str) -> list[dict[str, t.Any]]:
        """Deploy; return the steps that were taken."""
        bind = f"127.0.0.1:{self.port}"
        arguments = ("ailydian", "deploy", "--bind", bind, "--json", *args)
        said = self.run(*arguments, fails=fails, **environment)
        line = next(line for line in said.splitlines() if line.startswith('{"success"'))
        return t.cast(list[dict[str, t.Any]], json.loads(line)["steps"])

    def status(self) -> dict[str, t.Any]:
        result = subprocess.run(
            [sys.executable, "-m", "flask", "ailydian", "deploy", "status", "--json"],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return t.cast(dict[str, t.Any], json.loads(result.stdout))

    def change(self, old: str, new: str) -> None:
        text = (self.folder / "app.py").read_text()
        assert old in text
        (self.folder / "app.py").write_text(text.replace(old, new))

    def migration(self, body: str, name: str = "zz_next") -> None:
        """Write the host's next migration."""
        heads = self.run("db", "heads").split()[0]
        (self.folder / "migrations" / "versions" / f"{name}.py").write_text(
            "import sqlalchemy as sa\nfrom alembic import op\n\n"
            f"revision = {name!r}\ndown_revision = {heads!r}\n\n"
            f"def upgrade():\n    {body}\n\ndef downgrade():\n    pass\n"
        )
