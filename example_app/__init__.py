"""A small real host: users and login, its own tables and pages, and flask-ailydian inside."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from flask import Flask
from flask import render_template
from flask import Response
from flask_cors import CORS
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_login import current_user
from flask_login import LoginManager
from flask_migrate import Migrate

from flask_ailydian import FlaskAilydian

from .commands import users
from .models import db
from .models import User
from .pages import pages

ROOT = Path(__file__).parents[1]
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)


def create_app() -> Flask:
    """Return the app; ``EXAMPLE_INSTANCE`` names another folder for what it writes."""
    instance = Path(os.environ.get("EXAMPLE_INSTANCE", ROOT / "instance")).absolute()
    instance.mkdir(parents=True, exist_ok=True)
    app = Flask(__name__, instance_path=str(instance))
    app.config.update(
        SQLALCHEMY_DATABASE_URI=os.environ.get(
            "DATABASE_URL", f"sqlite:///{instance / 'example.db'}"
        ),
        SECRET_KEY=_secret(instance / "secret.key"),
        SESSION_COOKIE_SAMESITE="Lax",
        CORS_ORIGINS_OF_THE_API=["https://viewer.example.org"],
        RATE_LIMIT_OF_THE_API="600/minute",
        REACT_BUILD=str(ROOT / "example_app" / "react" / "dist"),
    )
    app.config.from_prefixed_env()
    db.init_app(app)
    Migrate(app, db, directory=str(ROOT / "migrations"), render_as_batch=True)
    _add_login(app)
    _add_ailydian(app)
    app.register_blueprint(pages)
    app.cli.add_command(users)
    for status in (404, 500):
        app.register_error_handler(
            status, lambda error: (render_template("error.html", error=error), error.code)
        )
    app.after_request(_harden)
    return app


def _add_login(app: Flask) -> None:
    login = LoginManager(app)
    login.login_view = "pages.login"

    @login.user_loader  # type: ignore[untyped-decorator, unused-ignore]
    def load(key: str) -> User | None:
        return db.session.get(User, int(key))


def _add_ailydian(app: Flask) -> None:
    """Put flask-ailydian into the app, guarded by what the app has already."""
    ailydian = FlaskAilydian()
    CORS(ailydian.blueprint, origins=app.config["CORS_ORIGINS_OF_THE_API"])
    limiter = Limiter(get_remote_address, app=app, storage_uri="memory://", headers_enabled=True)
    limiter.limit(lambda: app.config["RATE_LIMIT_OF_THE_API"])(ailydian.blueprint)

    @ailydian.gate.actor
    def caller() -> str | None:
        return current_user.get_id() if current_user.is_authenticated else None

    @ailydian.gate.may
    def may(actor: str | None, action: str) -> bool:
        if action == "manage":
            return actor is not None and current_user.is_admin
        return action == "infer" or actor is not None

    ailydian.init_app(app)


def _harden(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", POLICY)
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    return response


def _secret(path: Path) -> str:
    """Return the key that signs sessions, made on the first start."""
    if not path.exists():
        descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32))
    return path.read_text()
