"""Requests to a server that was just started, as its callers would send them."""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
import json
import subprocess
import time
import typing as t
from pathlib import Path

from PIL import Image

from ..engine.signature import zeros
from ..records import ModelRecord
from .server import last_lines
from .steps import Stopped


class Asker:
    """Asks one server on the loopback interface.

    :param prefix: Where our routes are mounted.
    :param key: An API key, where the host's gate lets nobody in without one.
    """

    def __init__(self, port: int, prefix: str, key: str | None, host: str = "127.0.0.1") -> None:
        self._port = port
        self._host = host
        self._prefix = prefix
        self._headers = {"Content-Type": "application/json", "Connection": "close"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"

    def ask(self, method: str, path: str, body: t.Any = None) -> tuple[int, t.Any]:
        """Send a request; return status and body.

        :raises OSError: when nobody answers.
        """
        connection = http.client.HTTPConnection(self._host, self._port, timeout=90)
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(method, self._prefix + path, sent, self._headers)
            response = connection.getresponse()
            text = response.read()
            with contextlib.suppress(ValueError):
                return response.status, json.loads(text)
            return response.status, {}
        except http.client.HTTPException as error:
            raise ConnectionError(type(error).__name__) from error
        finally:
            connection.close()

    def wait(self, process: subprocess.Popen[bytes], log: Path, seconds: float) -> None:
        """Return once the server answers.

        :raises Stopped: when it ends, or does not answer in time.
        """
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if process.poll() is not None:
                raise Stopped(
                    f"The server ended with status {process.returncode}: {last_lines(log)}",
                    f"Look at {log}.",
                )
            with contextlib.suppress(OSError):
                if self.ask("GET", "/health")[0] == 200:
                    return
            time.sleep(0.1)
        raise Stopped(f"The server did not answer in {seconds:g} seconds.", f"Look at {log}.")

    def ready(self, attempts: int, pause: float = 1.0) -> dict[str, t.Any]:
        """Return what readiness says once it is well.

        :raises Stopped: when it is not after so many attempts.
        """
        why = "nobody answers"
        for attempt in range(attempts):
            if attempt:
                time.sleep(pause)
            try:
                status, body = self.ask("GET", "/health/ready")
            except OSError as error:
                why = f"nobody answers ({type(error).__name__})"
                continue
            if status == 200:
                return t.cast(dict[str, t.Any], body)
            wrong = [
                check["detail"] for check in body.get("checks", {}).values() if not check["ok"]
            ]
            why = " ".join(wrong) or f"status {status}"
        raise Stopped(f"Not ready after {attempts} attempts: {why}", "Run: flask ailydian doctor")


def sample(record: ModelRecord) -> dict[str, t.Any]:
    """Return a request that a model can answer: a grey picture, a word, or zeros."""
    named = {"model_name": record.name, "model_version": record.version}
    if record.preprocessing:
        size = record.preprocessing.get("size") or (32, 32)
        drawn = io.BytesIO()
        Image.new("RGB", (int(size[1]), int(size[0])), (128, 128, 128)).save(drawn, "PNG")
        return named | {"image": base64.b64encode(drawn.getvalue()).decode()}
    if record.task.startswith("text"):
        return named | {"text": "merhaba"}
    return named | {"inputs": {name: a.tolist() for name, a in zeros(record.inputs).items()}}
