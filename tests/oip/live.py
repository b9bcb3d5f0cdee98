"""An app on a real port, in this process."""

from __future__ import annotations

import contextlib
import threading
import typing as t

from flask import Flask
from werkzeug.serving import make_server


@contextlib.contextmanager
def serving(app: t.Any, port: int = 0) -> t.Iterator[int]:
    """Serve *app* on loopback for the length of the block; yield the port."""
    server = make_server("127.0.0.1", port, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def rows(app: Flask) -> list[t.Any]:
    """Return the rows of the inference log, oldest first."""
    state = app.extensions["ailydian"]
    table = state.tables.InferenceLog.__table__
    with app.app_context(), state.db.engine.connect() as connection:
        return list(connection.execute(table.select().order_by(table.c.created_at)))
