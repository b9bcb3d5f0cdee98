"""The n-th call of the operating system fails, for n = 1 and so on: a row or a refusal."""

from __future__ import annotations

import contextlib
import http.server
import os
import resource
import shutil
import subprocess
import threading
import time
import typing as t
from collections import Counter
from pathlib import Path

import pytest
from audit.trails import events
from chaos.proxy import standing_before
from chaos.saboteur import SABOTEUR
from chaos.shapes import registered
from databases import database
from flask import Flask
from hosts import dispose
from hosts import make_host
from pictures import data_uri
from pictures import encoded

from flask_ailydian.audit.checkpoints import of_line
from flask_ailydian.errors import AuditUnavailable

URL = "/api/pytorch/inference"
BODY = {"model_name": "shapes", "image": data_uri(encoded()), "user_id": "alice"}


def asked(app: Flask, key: str | None = None) -> tuple[int, str | None]:
    headers = {} if key is None else {"Idempotency-Key": key}
    answer = app.test_client().post(URL, json=BODY, headers=headers)
    return answer.status_code, answer.json.get("id")


def check(app: Flask, found: list[tuple[int, str | None]]) -> None:
    """Every answer that was given has one row, no request has two, and the trail is whole."""
    with app.app_context():
        counted = Counter(event.id for event in events(app, "inference"))
        report = app.extensions["ailydian"].audit.inspection.verify()
    assert all(status in (200, 503) for status, _ in found), found
    assert {id for status, id in found if status == 200} <= set(counted)
    assert max(counted.values(), default=1) == 1 and len(counted) <= len(found)
    assert report.ok, report.bad


def close(app: Flask) -> None:
    with app.app_context():
        app.extensions["ailydian"].audit.close()
    dispose(app)


@pytest.mark.parametrize("keys", ["there", "made-anew"])
def test_whatever_file_cannot_be_opened_there_is_a_row_or_a_refusal(
    tmp_path: Path, keys: str
) -> None:
    models = str(tmp_path / "models")
    app = make_host(tmp_path, AILYDIAN_MODEL_DIR=models, AILYDIAN_CHECKPOINT_SECONDS=0.0)
    registered(app, domain="civic")
    close(app)
    own = tmp_path / "instance" / "ailydian"

    def about(args: tuple[t.Any, ...]) -> bool:
        return isinstance(args[0], str | Path) and str(args[0]).startswith(str(tmp_path))

    found: list[tuple[int, str | None]] = []
    n, calls = 0, 0
    while n <= calls:
        n += 1
        if keys == "made-anew":
            shutil.rmtree(own)
        # Each time an app that has opened nothing yet.
        app = make_host(
            tmp_path,
            create=False,
            AILYDIAN_MODEL_DIR=models,
            AILYDIAN_CHECKPOINT_SECONDS=0.0 if keys == "made-anew" else 3600.0,
        )
        checkpoints = app.extensions["ailydian"].audit.checkpoints
        with SABOTEUR.failing("open", n, about), app.app_context():
            found.append(asked(app))
            if keys == "there" and found[-1][0] == 200:
                checkpoints.make(now=True)
        calls = SABOTEUR.calls
        found.append(asked(app))
        assert found[-1][0] == 200, n
        with app.app_context():
            assert not checkpoints.retry_exports()
        check(app, found)
        close(app)
    # Keys, model, export; the last time nothing failed.
    assert n > 4 and found[-2][0] == 200


@pytest.mark.parametrize("keyed", [False, True], ids=["in-one-statement", "with-a-key"])
def test_whatever_message_to_a_server_is_the_last_there_is_a_row_or_a_refusal(
    tmp_path: Path, keyed: bool
) -> None:
    with database("postgresql", tmp_path) as url:
        app = make_host(tmp_path, database=url)
        registered(app)
        close(app)
        proxy, through = standing_before(url)
        app = make_host(
            tmp_path, database=through, create=False, AILYDIAN_AUDIT_TIMEOUT_SECONDS=2.0
        )
        found: list[tuple[int, str | None]] = []
        try:
            assert asked(app)[0] == 200
            n, reached = 0, True
            while reached and n < 60:
                n += 1
                proxy.drop_after(n)
                found.append(asked(app, f"key {n}" if keyed else None))
                reached = proxy.dropped
                proxy.thaw()
                found.append(asked(app))
                assert found[-1][0] == 200, n
            # There and back; with a key a claim, and a transaction of several statements.
            assert n > 8 if keyed else n <= 3
            with app.app_context():
                rows = [e.id for e in events(app, "inference")]
            assert len(set(rows)) == len(rows) <= len(found) + 1
            assert {id for status, id in found if status == 200} <= set(rows)
            assert {status for status, _ in found} <= {200, 503}
            with app.app_context():
                assert app.extensions["ailydian"].audit.inspection.verify().ok
        finally:
            proxy.close()
            close(app)


@contextlib.contextmanager
def descriptors_left(count: int) -> t.Iterator[None]:
    """Let the system give this process so many more open files, and then no more."""
    most, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.ExitStack() as fillers:
        # The lowest free number is given first: only above the highest is the limit exact.
        highest = max(int(name) for name in os.listdir("/proc/self/fd"))
        while fillers.enter_context(open(os.devnull)).fileno() <= highest:
            pass
        top = max(int(name) for name in os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (top + count, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


@pytest.mark.parametrize("way", ["call", "descriptor"])
def test_whatever_file_of_the_spool_cannot_be_opened_there_is_a_row_or_a_refusal(
    tmp_path: Path, way: str
) -> None:
    spool = tmp_path / "instance" / "ailydian" / "spool.db"
    with database("postgresql", tmp_path) as url:
        app = make_host(tmp_path, database=url)
        registered(app)
        close(app)
        proxy, through = standing_before(url)
        app = make_host(
            tmp_path,
            database=through,
            create=False,
            AILYDIAN_AUDIT_FAILURE="spool",
            AILYDIAN_AUDIT_TIMEOUT_SECONDS=1.0,
            AILYDIAN_CHECKPOINT_SECONDS=0.0,
        )
        audit = app.extensions["ailydian"].audit
        found: list[tuple[int, str | None]] = []
        refused, here = 0, threading.get_ident()

        def about(args: tuple[t.Any, ...]) -> bool:
            # What ships the rows opens the file too, on a thread of its own.
            return args[0] == spool and threading.get_ident() == here

        try:
            with app.app_context():
                assert asked(app)[0] == 200
                proxy.drop()
                # What is imported and connected only once is out of the way then.
                assert asked(app)[0] == 200 and audit.spooled() == 1
                n = 0
                while len(found) < 2 or found[-1][0] == 503:
                    n += 1
                    assert n < 20, "it is never there again"
                    if way == "call":
                        with SABOTEUR.failing("sqlite3.connect", n, about):
                            found.append(asked(app))
                    else:
                        # How many it takes is SQLite's own affair (what ships may have some of
                        # them open), but not with none.
                        with descriptors_left(n - 1):
                            found.append(asked(app))
                    refused += found[-1][0] == 503
                assert refused, found
                proxy.thaw()
                until = time.monotonic() + 20
                while audit.spooled():
                    assert time.monotonic() < until, "the spool was not shipped"
                    time.sleep(0.05)
            found += [asked(app)]
            assert found[-1][0] == 200
            with app.app_context():
                rows = Counter(event.id for event in events(app, "inference"))
                assert audit.inspection.verify().ok
            assert {id for status, id in found if status == 200} <= set(rows)
            assert max(rows.values()) == 1 and len(rows) <= len(found) + 2
        finally:
            proxy.close()
            close(app)


class Taking(http.server.BaseHTTPRequestHandler):
    """Takes what is posted."""

    taken: t.ClassVar[list[bytes]] = []

    def do_POST(self) -> None:
        self.taken.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: t.Any) -> None:
        pass


@pytest.fixture
def webhook() -> t.Iterator[str]:
    Taking.taken.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Taking)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/checkpoints"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_sink_that_cannot_be_reached_holds_no_answer_back_and_gets_everything_later(
    tmp_path: Path, webhook: str
) -> None:
    app = make_host(
        tmp_path, AILYDIAN_CHECKPOINT_SINKS=[webhook], AILYDIAN_CHECKPOINT_SECONDS=3600.0
    )
    registered(app)
    audit = app.extensions["ailydian"].audit
    found = []
    with app.app_context():
        for n in range(1, 4):
            with SABOTEUR.failing("socket.connect", n, lambda args: True):
                for _ in range(2):
                    found.append(asked(app))
                    audit.checkpoints.make(audit._delivery._committer.chains.all, now=True)
        assert not audit.checkpoints.retry_exports()
        stored = [body for body, _, _ in audit.checkpoints.read()]
        assert [status for status, _ in found] == [200] * 6
    check(app, found)
    assert len(stored) >= 6
    assert {of_line(line.decode())[0] for line in Taking.taken} >= set(stored)
    close(app)


def test_a_disk_that_is_full_refuses_and_answers_again_once_there_is_room(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1536k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a small tmpfs can be mounted by root only; run as root: make chaos")
    try:
        app = make_host(
            tmp_path,
            database=f"sqlite:///{disk / 'host.db'}",
            AILYDIAN_CHECKPOINT_SECONDS=0.0,
        )
        ballast = disk / "ballast"
        ballast.write_bytes(b"x" * 2**18)
        audit = app.extensions["ailydian"].audit
        acknowledged = []
        with app.app_context():
            with pytest.raises(AuditUnavailable):
                for _ in range(5000):
                    acknowledged.append(audit.note("filling", detail={"text": "x" * 400}))
            assert len(acknowledged) > 10
            for _ in range(3):
                with pytest.raises(AuditUnavailable):
                    audit.note("still full", detail={"text": "x" * 40_000})
            ballast.unlink()
            acknowledged.append(audit.note("filling"))
            found = [event.id for event in events(app, "filling")]
            assert set(acknowledged) <= set(found) and len(set(found)) == len(found)
            assert audit.inspection.verify().ok
        close(app)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
