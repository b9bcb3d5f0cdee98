"""`make demo`: migrates, starts the app, asks it, shows the answers, leaves it running."""

from __future__ import annotations

import argparse
import contextlib
import csv
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
import typing as t
import urllib.error
import urllib.request
from pathlib import Path

import flask_migrate

from flask_ailydian import current_ailydian
from flask_ailydian import demo
from flask_ailydian.demo import help_desk
from flask_ailydian.registration import Declared

from . import create_app
from . import phantom
from . import ROOT
from .commands import create_user

XRAYS = ROOT.parent / "shared" / "data" / "cxr"
WAIT_SECONDS = 60


def main() -> None:
    """Run the demo; see ``--help``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=3100)
    parser.add_argument("--image", type=Path, help="a picture of one's own")
    parser.add_argument("--once", action="store_true", help="stop after the answers")
    options = parser.parse_args()
    if options.image and not options.image.is_file():
        sys.exit(f"There is no file {options.image}.")
    if taken(options.port):
        sys.exit(f"Port {options.port} is taken; stop what listens there, or say PORT=3101.")
    password = prepare()
    # A plain kill must stop the server as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with serving(options.port) as base, contextlib.suppress(KeyboardInterrupt):
        show_prediction(base, options.image)
        show_answer(base)
        print_urls(base, password)
        if not options.once:
            print("\nRunning; Ctrl-C ends it.", flush=True)
            while True:
                time.sleep(3600)


def taken(port: int) -> bool:
    """Whether somebody listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def prepare() -> str | None:
    """Migrate the database, place the model's file, make an admin; return a new password."""
    app = create_app()
    with app.app_context():
        print("Migrating the database …", flush=True)
        flask_migrate.upgrade()
        demo.place(app.extensions["ailydian"].registry.folder)
        _add_help_desk()
        password = create_user("admin", None, admin=True)
        app.extensions["sqlalchemy"].engine.dispose()
    return password


def _add_help_desk() -> None:
    registry = current_ailydian.registry
    if not registry.versions(help_desk.NAME):
        declared = Declared(domain="chat")
        registry.register(help_desk.read(), help_desk.NAME, help_desk.VERSION, declared)


@contextlib.contextmanager
def serving(port: int) -> t.Iterator[str]:
    """Run the app on a port until the block ends."""
    command = [sys.executable, "-m", "flask", "--app", "example_app", "run", "--port", str(port)]
    if importlib.util.find_spec("gunicorn"):
        bind = f"127.0.0.1:{port}"
        command = [sys.executable, "-m", "gunicorn", "--bind", bind, "--threads", "4"]
        command.append("example_app:create_app()")
    environment = os.environ | {"ORT_DISABLE_TELEMETRY": "1"}
    log = Path(create_app().instance_path) / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            base = f"http://127.0.0.1:{port}"
            wait_until_ready(base, server, log)
            yield base
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def wait_until_ready(base: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Return once the app says that it is ready, or exit with what the server printed."""
    print(f"Starting on {base} …", flush=True)
    until = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < until and server.poll() is None:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{base}/api/pytorch/health/ready", timeout=5).close()
            return
        time.sleep(0.2)
    sys.exit(f"The app did not become ready. Its server printed:\n{log.read_text()[-3000:]}")


def picture(given: Path | None) -> tuple[bytes, str, str]:
    """Return a picture, its media type and what it is."""
    kinds = {".png": "image/png", ".webp": "image/webp", ".dcm": "application/dicom"}
    kinds |= {".tif": "image/tiff", ".tiff": "image/tiff"}
    if given is not None:
        kind = kinds.get(given.suffix.lower(), "image/jpeg")
        return given.read_bytes(), kind, f"your picture {given.name}"
    if (XRAYS / "labels.csv").is_file():
        with (XRAYS / "labels.csv").open(newline="", encoding="utf-8") as file:
            rows = [r for r in csv.DictReader(file) if r["split"] == "val"]
        row = next(r for r in rows if r["cls"] == "Normal")
        about = f"a real chest X-ray ({row['source'].upper()}, labelled {row['cls']})"
        return (XRAYS / row["file"]).read_bytes(), "image/jpeg", about
    return phantom.draw(), "image/png", "a phantom: a chest drawn by code, which shows nobody"


def show_prediction(base: str, given: Path | None) -> None:
    """Ask the demo model about a picture, and print its answer."""
    data, kind, about = picture(given)
    url = f"{base}/api/pytorch/inference?model_name={demo.NAME}"
    print(f"\nPOST {url}\nwith {about}:\n")
    request = urllib.request.Request(url, data, {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            body = json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            sys.exit(f"It was refused: {error.read().decode()}")
    print(json.dumps(body, indent=2, ensure_ascii=False))
    print(
        "\nThis is a teaching model. Not for diagnosis. · Öğretim içindir; tanı için kullanılamaz."
    )


def show_answer(base: str) -> None:
    """Ask the help desk something, and print what the router made of it."""
    url, query = f"{base}/api/pytorch/query", "Randevu almak istiyorum"
    print(f"\nPOST {url}\nwith the question {query!r}:\n")
    data = json.dumps({"query": query}).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        body = json.load(response)
    shown = {name: body[name] for name in ("answer", "backend", "reason", "cost")}
    print(json.dumps(shown, indent=2, ensure_ascii=False))


def print_urls(base: str, password: str | None) -> None:
    """Print where to look next."""
    print("\nOpen:")
    for path in (
        "/",
        "/try",
        "/ask",
        "/api/pytorch/docs",
        "/api/pytorch/health/ready",
        "/api/pytorch/models",
    ):
        print(f"  {base}{path}")
    if password:
        print(f"Sign in as admin with the password {password} (shown this once).", flush=True)


if __name__ == "__main__":
    main()
