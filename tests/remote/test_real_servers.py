"""Against the servers that people run: KServe's, MLServer and Triton, each as it is."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import socket
import subprocess
import threading
import time
import typing as t
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import onnx_models
import onnxruntime
import pytest
from environments import Environment
from environments import ENVIRONMENTS
from flask import Flask
from PIL import Image

from bench import resnet50
from flask_ailydian import current_ailydian
from flask_ailydian.engine.remote.discovery import read_spec
from flask_ailydian.errors import AilydianError
from flask_ailydian.registration import Declared

#: Those that must be here; the others are skipped where they are not.
WANTED = os.environ.get("AILYDIAN_REMOTE_SERVERS", "").split(",")
PICTURES = Declared(domain="civic", mean=(0.5,) * 3, std=(0.5,) * 3)
SIDES = {"shapes": 8, "resnet50": 224}
CLASSES = {"shapes": 3, "resnet50": 1000}


class RealServer:
    """One server in its own environment, on a port that stays the same when it is restarted."""

    def __init__(self, environment: Environment, models: dict[str, Path], work: Path) -> None:
        self.environment = environment
        self.models = models
        self.port = free_ports()
        self._log = work / f"{environment.name}.log"
        self._variables = os.environ | {
            "HOME": str(work),
            "PYTRITON_HOME": str(work / "pytriton"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self.environment.command(self.port, self.models),
                cwd=self._log.parent,
                env=self._variables,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self) -> None:
        end = time.monotonic() + 120
        for name in self.models:
            url = f"http://127.0.0.1:{self.port}/v2/models/{name}/ready"
            while True:
                with contextlib.suppress(urllib.error.URLError, OSError):
                    with urllib.request.urlopen(url, timeout=5) as answer:
                        if answer.status == 200:
                            break
                assert self._process is not None and self._process.poll() is None, self.said()
                assert time.monotonic() < end, self.said()
                time.sleep(0.2)

    def kill(self) -> None:
        """End it and whatever it started, without a word."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(30)

    def said(self) -> str:
        return self._log.read_text(errors="replace")[-3000:]

    def specs(self, name: str) -> dict[str, t.Any]:
        """Return the signature to state: KServe's server says nothing of it."""
        if self.environment.name != "kserve":
            return {}
        if name == "words":
            return {
                "inputs": [read_spec("text", "BYTES", [-1])],
                "outputs": [read_spec("scores", "FP32", [-1, 2])],
            }
        side, classes = SIDES[name], CLASSES[name]
        return {
            "inputs": [read_spec("input", "FP32", [-1, 3, side, side])],
            "outputs": [read_spec("probabilities", "FP32", [-1, classes])],
        }

    def add(self, name: str, declared: Declared) -> None:
        """Register a model of this server and let it answer."""
        registry = current_ailydian.registry
        url = f"oip://127.0.0.1:{self.port}/{name}"
        found = registry.storage.discover([url], **self.specs(name))
        assert found.binary == (self.environment.name == "triton")
        registry.register(found.to_bytes(), name, "far", declared, kind="remote", activate=True)


def free_ports() -> int:
    """Return a port with two free ones after it."""
    while True:
        with socket.socket() as first:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            with contextlib.suppress(OSError), socket.socket() as a, socket.socket() as b:
                a.bind(("127.0.0.1", port + 1))
                b.bind(("127.0.0.1", port + 2))
                return port


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """ONNX files: a ResNet-50, a small model of pictures, and one of words."""
    folder = tmp_path_factory.mktemp("models")
    made = {
        "resnet50": resnet50.build(),
        "shapes": onnx_models.classifier(labels=3, size=8),
        "words": onnx_models.text_classifier(),
    }
    for name, data in made.items():
        (folder / f"{name}.onnx").write_bytes(data)
    return {name: folder / f"{name}.onnx" for name in made}


@pytest.fixture(scope="module", params=list(ENVIRONMENTS))
def server(
    request: pytest.FixtureRequest,
    files: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> t.Iterator[RealServer]:
    environment = ENVIRONMENTS[request.param]
    if not environment.there:
        missing = f"{environment.name} is not installed; run: make test-remote"
        if environment.name in WANTED:
            pytest.fail(missing)
        pytest.skip(missing)
    found = RealServer(environment, files, tmp_path_factory.mktemp(environment.name))
    found.start()
    try:
        found.wait()
        yield found
    finally:
        found.kill()


@pytest.fixture
def host(make_app: t.Callable[..., Flask]) -> Flask:
    return make_app(AILYDIAN_REMOTE_EJECT_SECONDS=0.5, AILYDIAN_TIMEOUT_SECONDS=60.0)


def picture(side: int, seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def chances(body: dict[str, t.Any]) -> t.Any:
    return np.array([entry["probability"] for entry in body["probabilities"].values()])


def local(file: Path, data: bytes, side: int) -> t.Any:
    """What ONNX Runtime gives here for a picture, prepared by hand."""
    pixels = np.asarray(Image.open(io.BytesIO(data)), np.float32)
    tensor = ((pixels / 255 - 0.5) / 0.5).transpose(2, 0, 1)[None]
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return session.run(None, {"input": tensor.astype(np.float32)})[0][0]


@pytest.mark.parametrize("name", ["resnet50", "shapes"])
def test_pictures_get_the_answer_of_local_onnx_runtime(
    server: RealServer, host: Flask, files: dict[str, Path], name: str
) -> None:
    with host.app_context():
        server.add(name, PICTURES)
        for seed in range(3):
            data = picture(SIDES[name], seed)
            body = current_ailydian.predict(name, image=data)
            expected = local(files[name], data, SIDES[name])
            np.testing.assert_allclose(chances(body), expected, atol=1e-5)
            assert body["model"]["type"] == "remote"


def test_texts_get_the_answer_of_local_onnx_runtime(
    server: RealServer, host: Flask, files: dict[str, Path]
) -> None:
    session = onnxruntime.InferenceSession(files["words"], providers=["CPUExecutionProvider"])
    with host.app_context():
        server.add("words", Declared(labels=["evet", "hayir"]))
        for text in ("evet", "hayır", "İğne, çok ağrıyor: 3 < 5 “x”"):
            body = current_ailydian.predict("words", text=text)
            (scores,) = session.run(None, {"text": np.array([text], dtype=object)})
            powers = np.exp(scores[0].astype(np.float64))
            np.testing.assert_allclose(chances(body), powers / powers.sum(), atol=1e-5)


def test_an_unknown_model_is_not_registered(server: RealServer, host: Flask) -> None:
    with host.app_context(), pytest.raises(AilydianError, match="no model 'nobody'"):
        current_ailydian.registry.storage.discover([f"oip://127.0.0.1:{server.port}/nobody"])


def test_killed_and_restarted_under_load_no_answer_is_wrong(
    server: RealServer, host: Flask, files: dict[str, Path]
) -> None:
    pictures = [picture(8, seed) for seed in range(8)]
    expected = [local(files["shapes"], data, 8) for data in pictures]
    with host.app_context():
        server.add("shapes", PICTURES)
    wrong: list[t.Any] = []
    words: list[tuple[float, str]] = []
    right: list[float] = []
    stop = threading.Event()

    def ask(start: int) -> None:
        with host.app_context():
            for i in range(start, 10**9):
                if stop.is_set():
                    return
                try:
                    body = current_ailydian.predict("shapes", image=pictures[i % 8], timeout=5)
                except AilydianError as error:
                    words.append((time.monotonic(), error.code))
                    time.sleep(0.01)
                    continue
                except Exception as error:
                    wrong.append(error)
                    return
                right.append(time.monotonic())
                if not np.allclose(chances(body), expected[i % 8], atol=1e-5):
                    wrong.append(body)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(2):
            time.sleep(1.5)
            server.kill()
            time.sleep(1.5)
            killed = time.monotonic()
            server.start()
            server.wait()
            back = time.monotonic()
            while not right or right[-1] < back:
                assert time.monotonic() < back + 10, "it did not recover"
                time.sleep(0.05)
        time.sleep(1)
        ended = time.monotonic()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert {word for _, word in words} <= {"backend_unavailable", "timeout", "overloaded"}, words
    assert words and words[0][0] < killed
    # Once it is back and was tried, nothing fails any more.
    assert not [moment for moment, _ in words if back + 2 < moment < ended]
