"""The eight steps, and what becomes of the server before."""

from __future__ import annotations

import base64
import dataclasses
import os
import socket
import subprocess
import time
import typing as t

from .. import health
from ..clock import now
from ..engine import cores
from ..errors import AuditUnavailable
from ..recipes import TEXT_TASKS
from ..recipes import WRITES
from ..state import current_ailydian
from ..version import __version__
from . import looking
from . import migrating
from . import server
from .asking import Asker
from .asking import sample
from .processes import Running
from .server import STOP_SECONDS
from .steps import Outcome
from .steps import Step
from .steps import Stopped
from .steps import walk

START_SECONDS = 60.0


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What is asked of a deployment.

    :param app: What gunicorn serves.
    :param bind: ``HOST:PORT`` that the world connects to.
    :param workers: 0: one on SQLite, several on PostgreSQL.
    :param config: A gunicorn configuration of the host's own.
    :param attempts: How often readiness is asked for.
    """

    app: str
    bind: str
    workers: int = 0
    config: str | None = None
    attempts: int = 10


class Deployment:
    """One deployment of the current app into a :class:`server.Place`."""

    def __init__(self, place: server.Place, wanted: Wanted) -> None:
        self._place = place
        self._wanted = wanted
        self._name = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        sqlite = current_ailydian.db.engine.dialect.name == "sqlite"
        several = max(2, min(cores.count(), 4))
        self._workers = wanted.workers or (1 if sqlite else several)
        environment = dict(os.environ)
        # For the requests of the steps below; a server has no use for it.
        self._key = environment.pop("AILYDIAN_DEPLOY_KEY", None)
        environment["ORT_DISABLE_TELEMETRY"] = "1"
        environment.setdefault("MALLOC_ARENA_MAX", "2")
        self._launch = server.Launch(wanted.app, wanted.config, environment)
        self._prefix = current_ailydian.settings.url_prefix
        self._socket: socket.socket | None = None
        self._new_socket = False
        self._process: subprocess.Popen[bytes] | None = None
        self._private = 0

    def run(self) -> t.Iterator[Outcome]:
        """Do the steps, up to the first that fails; the old server runs on until the last."""
        with self._place.alone():
            try:
                yield from walk(self._steps())
            finally:
                self._withdraw()

    def rehearse(self) -> t.Iterator[Outcome]:
        """Do the steps that only look, and say what the others would do."""
        yield from walk(self._dry_steps())

    def _steps(self) -> tuple[Step, ...]:
        return (
            *self._looks(),
            Step("migrations", self._migrate),
            Step("models", self._models),
            Step("smoke tests", self._smoke),
            Step("start", self._start),
            Step("health", self._promote),
        )

    def _looks(self) -> tuple[Step, ...]:
        place, wanted = self._place, self._wanted
        return (
            Step("pre-flight", lambda: looking.machine(place, wanted.bind, self._workers)),
            Step("settings", looking.settings),
            Step("dependencies", looking.packages),
        )

    def _dry_steps(self) -> tuple[Step, ...]:
        command = " ".join(self._launch.command("--bind", self._wanted.bind))
        return (
            *self._looks(),
            Step("migrations", self._would_migrate),
            Step("models", self._would_verify),
            Step("smoke tests", lambda: "Would ask a server on a private port."),
            Step("start", lambda: f"Would run: {command}"),
            Step("health", self._would_promote),
        )

    # Steps 4 to 6: the data, and the code on a port of its own

    def _migrate(self) -> str:
        return migrating.migrate(self._place, others_write=self._place.running() is not None)

    def _would_migrate(self) -> str:
        todo = migrating.pending()
        if todo is None:
            return "The app has no Flask-Migrate."
        return f"Would run {len(todo)} revisions: {', '.join(todo)}." if todo else "Up to date."

    def _models(self) -> str:
        found = health.models(current_ailydian.registry)
        if not found.ok:
            raise Stopped(found.detail, found.remedy)
        return found.detail

    def _would_verify(self) -> str:
        file = migrating.sqlite_file()
        if (file is not None and not file.exists()) or migrating.pending():
            return "Would be verified after the migrations."
        return self._models()

    def _smoke(self) -> str:
        log = self._place.log("smoke")
        log.unlink(missing_ok=True)
        with server.private() as private:
            port = private.getsockname()[1]
            environment = {"WEB_CONCURRENCY": "1"} | server.counts(self._place, "smoke")
            process = self._launch.start([private], log, "--workers", "1", **environment)
        try:
            asker = Asker(port, self._prefix, self._key)
            asker.wait(process, log, START_SECONDS)
            asker.ready(self._wanted.attempts)
            said = [self._infer(asker), self._route(asker)]
            return f"On port {port}: ready; {'; '.join(filter(None, said))}."
        finally:
            _end(process)

    def _infer(self, asker: Asker) -> str:
        record = current_ailydian.registry.servable()[0]
        body = sample(record)
        status, answered = asker.ask("POST", "/inference", body)
        if status in (401, 403):
            # The host lets nobody in without a login: the same work, without the door.
            if not self._key:
                inputs: dict[str, t.Any] = {
                    name: body[name] for name in ("inputs", "text") if name in body
                }
                if "image" in body:
                    inputs["image"] = base64.b64decode(body["image"])
                current_ailydian.predict(record.name, model_version=record.version, **inputs)
                return f"{record.name} answers in process ({status} by HTTP, as the gate wants it)"
            raise Stopped(
                f"The key of AILYDIAN_DEPLOY_KEY is refused with {status}.",
                "Make one that may infer: flask ailydian key create deploy",
            )
        if status != 200:
            raise Stopped(
                f"{record.name} {record.version} answered {status}: {answered.get('title')}",
                "Run: flask ailydian doctor",
            )
        return f"{record.name} {record.version} answers"

    def _route(self, asker: Asker) -> str:
        query = {"query": "merhaba", "domain": "chat"}
        status, answered = asker.ask("POST", "/route", query)
        if status in (401, 403) and not self._key:
            return "a query is routed only for who is signed in"
        if status != 200:
            raise Stopped(f"POST /route answered {status}: {answered.get('title')}")
        if any(r.task in (*TEXT_TASKS, WRITES) and r.domain == "chat" for r in _servable()):
            status, answered = asker.ask("POST", "/query", query | {"backend": "onnx"})
            # 503: the model is not sure of such a word, and nobody is paid for a trial.
            if status not in (200, 503):
                raise Stopped(f"POST /query answered {status}: {answered.get('title')}")
            if status == 200:
                return f"a query is answered by {answered['backend']}"
        return "a query is routed"

    # Steps 7 and 8: the new server beside the old one, then in its place

    def _start(self) -> str:
        self._clear_candidate()
        self._socket, self._new_socket = server.public(self._place, self._wanted.bind)
        log = self._place.log(f"server-{self._name}")
        with server.private() as private:
            self._private = private.getsockname()[1]
            environment = {"WEB_CONCURRENCY": str(self._workers)}
            environment |= server.counts(self._place, self._name)
            # The host's own file may say otherwise; then it decides.
            self._process = self._launch.start([self._socket, private], log, **environment)
        details = {
            "bind": self._wanted.bind,
            "private": self._private,
            "name": self._name,
            "log": str(log),
            "app": self._wanted.app,
            "workers": self._workers,
            "since": now().isoformat(timespec="seconds") + "Z",
            "version": __version__,
        }
        try:
            server.described(self._process, "gunicorn", **details).write(self._place.candidate)
        except ProcessLookupError:
            # It has ended already; what it printed says why.
            pass
        Asker(self._private, self._prefix, self._key).wait(self._process, log, START_SECONDS)
        return f"Process {self._process.pid} listens on {self._wanted.bind}; it prints to {log}."

    def _promote(self) -> str:
        assert self._process is not None and self._socket is not None
        Asker(self._private, self._prefix, self._key).ready(self._wanted.attempts)
        new = Running.read(self._place.candidate)
        if new is None or not new.alive():
            raise Stopped("The new server is gone.", "Look at its log.")
        old = self._place.running()
        if self._new_socket:
            server.hold(self._place, self._socket, self._wanted.bind)
        self._place.candidate.replace(self._place.server)
        self._place.pid_file.write_text(f"{new.pid}\n")
        self._process = None
        said = f"Ready on {self._wanted.bind}."
        if old is not None:
            said += f" {_retired(old)}"
        self._tidy()
        return said + self._noted(new, old)

    def _would_promote(self) -> str:
        old = self._place.running()
        return "Would start for the first time." if old is None else f"Would replace {old.pid}."

    def _noted(self, new: Running, old: Running | None) -> str:
        """Put the deployment on the trail; the server runs either way."""
        detail: dict[str, int | str | None] = {
            "version": __version__,
            "replaced": int(old is not None),
            "name": self._name,
        }
        try:
            current_ailydian.audit.note("deployed", detail=detail)
        except AuditUnavailable:
            return " That it was deployed could not be put on record."
        return ""

    def _tidy(self) -> None:
        """Keep the logs of the last five servers."""
        for log in sorted(self._place.folder.glob("server-*.log"))[:-5]:
            log.unlink()

    def _clear_candidate(self) -> None:
        """End what a deployment that was killed has left behind; it was started here."""
        left = Running.read(self._place.candidate)
        if left is not None:
            left.terminate(STOP_SECONDS)
            self._place.candidate.unlink()

    def _withdraw(self) -> None:
        """End a new server that was not put in place, and let go of the socket."""
        if self._process is not None:
            _end(self._process)
            self._place.candidate.unlink(missing_ok=True)
        if self._socket is not None:
            self._socket.close()


def _retired(old: Running) -> str:
    if old.terminate(STOP_SECONDS):
        return f"Process {old.pid} has finished its requests and ended."
    return f"Process {old.pid} takes no more requests and has not ended yet."


def _servable() -> list[t.Any]:
    return current_ailydian.registry.servable()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
