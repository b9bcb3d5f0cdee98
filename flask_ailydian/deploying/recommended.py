"""gunicorn as recommended: ``--config python:flask_ailydian.deploying.recommended``.

A file of the host's own may begin with ``from flask_ailydian.deploying.recommended import *``.
The numbers come from the environment, where ``flask ailydian deploy`` puts them.
"""

from __future__ import annotations

import logging
import os
import typing as t

log = logging.getLogger("flask_ailydian.deploying")

# Threads share one loaded model; a thread waits for a slot of the engine, it does not compute.
worker_class = "gthread"
# One on SQLite, which takes one writer at a time; several on PostgreSQL.
workers = int(os.environ.get("WEB_CONCURRENCY", "1"))
threads = int(os.environ.get("AILYDIAN_SERVER_THREADS", "16"))
# A worker is replaced after so many requests, and not all of them at the same moment.
max_requests = 20_000
max_requests_jitter = 2_000
# Whose event loop is silent for so long is hung; requests have deadlines of their own.
timeout = 120
# Requests in progress are finished; the longest deadline by default is 30 seconds.
graceful_timeout = 40
# Longer than a proxy keeps its connections (nginx: 60 s), so that the proxy closes first.
keepalive = 75
# Models are loaded by each worker: sessions and threads do not survive a fork.
preload_app = False
# Two servers run side by side for a moment, and would share one control socket.
control_socket_disable = True
accesslog = os.environ.get("AILYDIAN_ACCESS_LOG") or None
errorlog = "-"
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def post_worker_init(worker: t.Any) -> None:
    """Load the active models before the first request comes."""
    app = worker.app.callable
    state = getattr(app, "extensions", {}).get("ailydian")
    if state is None:
        return
    try:
        with app.app_context():
            state.serving.warm()
    except Exception as error:
        # Readiness will say so; other models, and the host's own pages, are not held up.
        log.error("a model was not loaded beforehand: %s", type(error).__name__)


def worker_exit(server: t.Any, worker: t.Any) -> None:
    """Sign where the trail stands before the worker goes."""
    app = getattr(worker.app, "callable", None)
    state = getattr(app, "extensions", {}).get("ailydian")
    if app is None or state is None:
        return
    try:
        with app.app_context():
            state.lifecycle.drain()
    except Exception as error:
        # The next worker that signs covers these links too.
        log.warning("the trail was not signed at the end: %s", type(error).__name__)


def child_exit(server: t.Any, worker: t.Any) -> None:
    """Let Prometheus forget what a gone worker had in hand."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        try:
            from prometheus_client import multiprocess
        except ModuleNotFoundError:
            return
        multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
