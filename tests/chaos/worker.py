"""A worker that records rows on several threads and says which were acknowledged, until killed."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from hosts import make_host

from flask_ailydian.clock import new_id
from flask_ailydian.clock import now
from flask_ailydian.errors import AuditUnavailable


def main(url: str, folder: str, threads: int) -> None:
    app = make_host(Path(folder), database=url, create=False)
    audit = app.extensions["ailydian"].audit

    def work() -> None:
        with app.app_context():
            while True:
                row = {"id": new_id(), "created_at": now(), "backend": "onnx", "status": "success"}
                row |= dict.fromkeys(("model_id", "ab_test_id", "cost_usd", "error", "input_hash"))
                row |= dict.fromkeys(("confidence", "inference_time_ms", "result", "user_id"))
                try:
                    audit.record(row)
                except AuditUnavailable:
                    continue
                # One short write: lines of several threads do not mix.
                os.write(1, f"{row['id']}\n".encode())

    for _ in range(threads):
        threading.Thread(target=work, daemon=True).start()
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
