"""The host's own pages."""

from __future__ import annotations

import hmac
import secrets
import typing as t

from flask import abort
from flask import Blueprint
from flask import current_app
from flask import flash
from flask import redirect
from flask import render_template
from flask import request
from flask import send_from_directory
from flask import session
from flask import url_for
from flask_login import current_user
from flask_login import login_required
from flask_login import login_user
from flask_login import logout_user
from werkzeug.wrappers import Response

from flask_ailydian import current_ailydian
from flask_ailydian import demo
from flask_ailydian.errors import AilydianError

from .models import Case
from .models import db
from .models import User

pages = Blueprint("pages", __name__)

LANGUAGES = ("en", "tr")


@pages.before_request
def check_form() -> None:
    """Refuse a form that did not come from a page of ours."""
    if request.method == "POST":
        given, wanted = request.form.get("token", ""), session.get("token", "")
        if not wanted or not hmac.compare_digest(given.encode(), wanted.encode()):
            abort(400)


@pages.app_context_processor
def form_token() -> dict[str, str]:
    """Give every template the token of this session's forms."""
    return {"token": session.setdefault("token", secrets.token_urlsafe(16))}


@pages.app_context_processor
def language() -> dict[str, t.Any]:
    """Give every template its language, and ``say`` to choose a text by it."""
    if request.args.get("lang") in LANGUAGES:
        session["lang"] = request.args["lang"]
    lang = session.get("lang") or request.accept_languages.best_match(LANGUAGES) or "en"
    return {"lang": lang, "say": lambda english, turkish: turkish if lang == "tr" else english}


@pages.get("/")
def home() -> str:
    """Say what this is."""
    return render_template("home.html")


@pages.route("/login", methods=["GET", "POST"])
def login() -> str | Response:
    """Sign somebody in."""
    if request.method == "GET":
        return render_template("login.html")
    found = db.session.execute(
        db.select(User).filter_by(name=request.form.get("name", ""))
    ).scalar_one_or_none()
    if found is None or not found.has_password(request.form.get("password", "")):
        say = language()["say"]
        flash(say("Name or password is not right.", "Ad ya da parola doğru değil."))
        return render_template("login.html")
    session.pop("token", None)
    login_user(found)
    return redirect(url_for("pages.cases"))


@pages.post("/logout")
def logout() -> Response:
    """Sign out."""
    logout_user()
    return redirect(url_for("pages.home"))


@pages.get("/try")
def components() -> str:
    """Show the three components."""
    known = ("name", "version", "status", "task", "domain", "labels", "description")
    models = [
        {name: getattr(record, name) for name in known}
        for record in current_ailydian.registry.versions()
    ]
    return render_template("components.html", models=models, demo=demo.NAME)


@pages.get("/react/", defaults={"path": "index.html"})
@pages.get("/react/<path:path>")
def react(path: str) -> Response:
    """Send a file of the React page, where somebody has built it; see ``react/README.md``."""
    return send_from_directory(current_app.config["REACT_BUILD"], path)


@pages.route("/ask", methods=["GET", "POST"])
def ask() -> str | tuple[str, int]:
    """Ask the help desk; the router decides who answers."""
    question = request.form.get("question", "").strip()[:1000]
    if request.method == "GET" or not question:
        return render_template("ask.html", question="", answer=None)
    who = current_user.get_id() if current_user.is_authenticated else None
    try:
        answer = current_ailydian.answer(question, user_id=who)
    except AilydianError as error:
        flash(error.detail or error.title)
        return render_template("ask.html", question=question, answer=None), error.status
    return render_template("ask.html", question=question, answer=answer)


@pages.route("/cases", methods=["GET", "POST"])
@login_required  # type: ignore[untyped-decorator, unused-ignore]
def cases() -> str | Response:
    """List one's cases, or add one."""
    if request.method == "POST":
        title = request.form.get("title", "").strip()[:200]
        if title:
            db.session.add(Case(title=title, owner_id=current_user.id))
            db.session.commit()
        return redirect(url_for("pages.cases"))
    mine = db.select(Case).filter_by(owner_id=current_user.id).order_by(Case.id)
    return render_template("cases.html", cases=db.session.execute(mine).scalars())
