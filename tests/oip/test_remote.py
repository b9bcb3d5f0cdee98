"""Models on another server: here another app of ours, which speaks the same protocol."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import io
import json
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
import typing as t

import numpy as np
import onnx_models
import pytest
from flask import Flask
from flask import request
from live import rows
from live import serving
from PIL import Image

from flask_ailydian import current_ailydian
from flask_ailydian.engine.remote.address import Endpoint
from flask_ailydian.engine.remote.address import parse
from flask_ailydian.engine.remote.options import RemoteOptions
from flask_ailydian.engine.remote.remote_engine import RemoteEngine
from flask_ailydian.errors import BackendUnavailable
from flask_ailydian.errors import ClientGone
from flask_ailydian.errors import ModelFailed
from flask_ailydian.errors import ModelRefused
from flask_ailydian.errors import Timeout
from flask_ailydian.errors import ValidationFailed
from flask_ailydian.prediction import Given
from flask_ailydian.prediction import Patience
from flask_ailydian.registration import Declared

LABELS = ["circle", "square", "star"]
RECIPE = Declared(labels=LABELS, domain="civic", mean=(0.5,) * 3, std=(0.5,) * 3)
SHAPES = onnx_models.classifier(labels=3, size=8)


def picture(seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def chances(body: dict[str, t.Any]) -> list[float]:
    return [entry["probability"] for entry in body["probabilities"].values()]


@pytest.fixture
def make_server(make_app: t.Callable[..., Flask]) -> t.Callable[..., Flask]:
    """Return a maker of apps that have the model, as the remote side."""

    def make(data: bytes = SHAPES, declared: Declared = RECIPE, **config: t.Any) -> Flask:
        app = make_app(**config)
        with app.app_context():
            current_ailydian.registry.register(data, "shapes", "v1", declared, activate=True)
        return app

    return make


@pytest.fixture
def host(make_app: t.Callable[..., Flask]) -> Flask:
    """The app that calls; an endpoint that fails is left alone for half a second."""
    return make_app(AILYDIAN_REMOTE_EJECT_SECONDS=0.5, AILYDIAN_REMOTE_CONNECT_SECONDS=1.0)


def add(host: Flask, *ports: int, path: str = "shapes", **options: t.Any) -> None:
    """Register what the servers at these ports have, as the version `far`."""
    scheme = options.pop("scheme", "oip")
    urls = [f"{scheme}://127.0.0.1:{port}/api/pytorch/{path}" for port in ports]
    declared = options.pop("declared", RECIPE)
    with host.app_context():
        registry = current_ailydian.registry
        model = registry.storage.discover(urls, **options)
        registry.register(model.to_bytes(), "shapes", "far", declared, kind="remote", activate=True)


def test_a_row_moves_a_model_off_the_box(host: Flask, make_server: t.Any) -> None:
    server = make_server()
    with serving(server) as port:
        add(host, port, path="shapes/versions/v1")
        with host.app_context():
            there = current_ailydian.predict("shapes", image=picture())
        with server.app_context():
            here = current_ailydian.predict("shapes", image=picture())
        assert there["model"]["type"] == "remote" and there["model"]["version"] == "far"
        np.testing.assert_allclose(chances(there), chances(here), atol=1e-7)
        (row,) = rows(host)
        assert (row.status, row.backend) == ("success", "remote") and row.inference_time_ms > 0
        answer = host.test_client().get("/api/pytorch/models/shapes/far")
        assert answer.status_code == 200 and "127.0.0.1" not in answer.text
        record = host.test_client().get("/api/pytorch/v2/models/shapes").json
        assert record["platform"] == "open_inference_protocol"


def test_the_host_s_chain_of_two_is_one_more_server(host: Flask, make_server: t.Any) -> None:
    with serving(make_server()) as port:
        add(host, port)
        tensor = {"name": "input", "shape": [2, 3, 8, 8], "datatype": "FP32", "data": [0.5] * 384}
        answer = host.test_client().post(
            "/api/pytorch/v2/models/shapes/infer", json={"inputs": [tensor]}
        )
        assert answer.status_code == 200 and answer.json["outputs"][0]["shape"] == [2, 3]


def test_a_batch_is_one_call(host: Flask, make_server: t.Any) -> None:
    asked: list[str] = []
    server = make_server()

    def counted(environ: t.Any, start: t.Any) -> t.Any:
        asked.append(environ["PATH_INFO"].rpartition("/")[2])
        return server(environ, start)

    with serving(counted) as port:
        options = {"max_batch": 4, "max_delay_ms": 500}
        add(host, port, declared=dataclasses.replace(RECIPE, serving=options))
        asked.clear()
        with host.app_context(), concurrent.futures.ThreadPoolExecutor(4) as pool:

            def ask(seed: int) -> dict[str, t.Any]:
                with host.app_context():
                    return current_ailydian.predict("shapes", image=picture(seed))

            found = list(pool.map(ask, range(4)))
            alone = [current_ailydian.predict("shapes", image=picture(seed)) for seed in range(4)]
        assert [chances(body) for body in found] == [pytest.approx(chances(b)) for b in alone]
        assert len(rows(host)) == 8 and asked.count("infer") <= 6


def given(seed: int) -> Given:
    return Given("shapes", image=picture(seed))


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_when_the_server_is_gone_the_error_is_the_contract_s_and_recovery_is_its_own(
    host: Flask, make_server: t.Any
) -> None:
    server, port = make_server(), free_port()
    client = host.test_client()
    with serving(server, port):
        add(host, port)
        with host.app_context():
            before = current_ailydian.predict("shapes", image=picture())
        assert client.get("/api/pytorch/health/ready").status_code == 200
    for _ in range(5):
        with host.app_context(), pytest.raises(BackendUnavailable) as caught:
            current_ailydian.predict("shapes", image=picture())
        assert caught.value.status == 503 and caught.value.retry_after
    assert [row.error for row in rows(host)[1:]] == ["backend_unavailable"] * 5
    time.sleep(1.1)
    ready = client.get("/api/pytorch/health/ready")
    assert ready.status_code == 503
    assert f"127.0.0.1:{port} cannot be reached" in ready.json["checks"]["remote"]["detail"]
    with serving(server, port):
        time.sleep(0.6)
        with host.app_context():
            after = current_ailydian.predict("shapes", image=picture())
        assert chances(after) == chances(before)


def test_a_local_version_answers_meanwhile_and_is_named(host: Flask, make_server: t.Any) -> None:
    port = free_port()
    with serving(make_server(), port):
        with host.app_context():
            current_ailydian.registry.register(SHAPES, "shapes", "near", RECIPE)
        add(host, port, fallback="near")
    with host.app_context():
        body = current_ailydian.predict("shapes", image=picture())
        near = current_ailydian.registry.get("shapes", "near")
    assert body["model"]["version"] == "near"
    (row,) = rows(host)
    assert (row.backend, row.model_id) == ("onnx-fallback", near.id)
    time.sleep(1.1)
    ready = host.test_client().get("/api/pytorch/health/ready")
    assert ready.status_code == 200 and "cannot be reached" in ready.text


def test_of_several_servers_those_that_are_well_answer(host: Flask, make_server: t.Any) -> None:
    first, second = make_server(), make_server()
    port = free_port()
    with serving(first) as well:
        with serving(second, port):
            add(host, well, port)
            with host.app_context():
                for _ in range(8):
                    current_ailydian.predict("shapes", image=picture())
            assert min(len(rows(first)), len(rows(second))) >= 3
        with host.app_context():
            for _ in range(8):
                current_ailydian.predict("shapes", image=picture())
        assert {row.status for row in rows(host)} == {"success"}
        time.sleep(1.1)
        ready = host.test_client().get("/api/pytorch/health/ready")
        assert ready.status_code == 200 and f":{port} cannot be reached" in ready.text


def test_the_token_goes_along(
    host: Flask, make_server: t.Any, make_app: t.Callable[..., Flask]
) -> None:
    server = make_server()
    gate = server.extensions["test_ailydian"].gate

    @gate.may
    def may(who: t.Any, action: t.Any) -> bool:
        return request.headers.get("Authorization") == "Bearer let-me-in-please"

    with serving(server) as port:
        with pytest.raises(ModelRefused):
            add(host, port)
        knows = make_app(AILYDIAN_REMOTE_TOKEN="let-me-in-please")
        add(knows, port)
        with knows.app_context():
            assert current_ailydian.predict("shapes", image=picture())["success"]


def test_what_is_not_ready_or_says_nothing_is_not_registered(
    host: Flask, make_server: t.Any
) -> None:
    with serving(make_server()) as port:
        with pytest.raises(ModelRefused, match="no model 'nobody'"):
            add(host, port, path="nobody")
    with pytest.raises(BackendUnavailable, match="cannot be reached"):
        add(host, port)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "oip://",
        "oip:///shapes",
        "oip://host:1",
        "oip://host:99999/m",
        "oip://user:secret@host:1/m",
        "oip://host:1/m?x=1",
        "oip://host:1/m#x",
        "oip://ho st:1/m",
        "oip://host:1/m\r\nX: y",
        "host:1/m",
        "",
    ],
)
def test_only_addresses_of_models_are_taken(url: str) -> None:
    with pytest.raises(ValidationFailed):
        parse([url])


def test_an_address_may_have_a_prefix_a_version_and_tls() -> None:
    urls = ["oips://a/x/v2/models/m/versions/3", "oip://b:1/m/versions/3", "http://[::1]:8000"]
    endpoints, name, version = parse(urls)
    assert endpoints == (
        Endpoint("a", 443, True, "/x"),
        Endpoint("b", 1),
        Endpoint("::1", 8000),
    )
    assert (name, version) == ("m", "3")
    with pytest.raises(ValidationFailed):
        parse(["oip://a:1/m", "oip://a:1/other"])


class Impostor:
    """A server that answers metadata as it should, and ``infer`` as it is told to."""

    def __init__(self, infer: t.Callable[[socket.socket], None]) -> None:
        self.infer = infer
        self.asked = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as file:
            while line := file.readline():
                length = 0
                while header := file.readline().strip().lower():
                    if header.startswith(b"content-length:"):
                        length = int(header.split(b":")[1])
                file.read(length)
                path = line.split()[1]
                if path.endswith(b"/infer"):
                    self.asked += 1
                    self.infer(connection)
                    return
                spec = {"datatype": "FP32", "shape": [-1, 2]}
                body = json.dumps(
                    {
                        "extensions": [],
                        "inputs": [{"name": "x", **spec}],
                        "outputs": [{"name": "y", **spec}],
                    }
                ).encode()
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
                )

    def registered(self) -> None:
        """Register it as model `m` of the current app."""
        registry = current_ailydian.registry
        model = registry.storage.discover([f"oip://127.0.0.1:{self.port}/m"])
        registry.register(model.to_bytes(), "m", "v1", Declared(), kind="remote")

    def close(self) -> None:
        self._server.close()


def says(status: str, body: bytes, *headers: str) -> t.Callable[[socket.socket], None]:
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", *headers))
    return lambda connection: connection.sendall(
        f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    )


def outputs(**change: t.Any) -> bytes:
    entry = {"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [0.25, 0.75]} | change
    return json.dumps({"model_name": "m", "outputs": [entry]}).encode()


def drip(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    try:
        for _ in range(1000):
            connection.sendall(b" ")
            time.sleep(0.02)
    except OSError:
        pass


@pytest.mark.parametrize(
    ("infer", "error"),
    [
        (says("200 OK", b"no json"), ModelFailed),
        (says("200 OK", outputs(name="z")), ModelFailed),
        (says("200 OK", outputs(shape=[1, 3], data=[1, 2, 3])), ModelFailed),
        (says("200 OK", outputs(datatype="INT64", data=[1, 2])), ModelFailed),
        (says("200 OK", outputs(shape=[1, 3])), ModelFailed),
        (says("200 OK", outputs(), "Inference-Header-Content-Length: x"), BackendUnavailable),
        (says("200 OK", outputs(), "Inference-Header-Content-Length: 5"), ModelFailed),
        (says("500 Oops", b"Traceback"), ModelFailed),
        (says("404 Gone", b"{}"), BackendUnavailable),
        (says("503 Busy", b"{}"), BackendUnavailable),
        (says("401 Who", b"{}"), BackendUnavailable),
        (says("302 There", b"", "Location: http://127.0.0.1:1/"), BackendUnavailable),
        (says("400 Bad", b"{}"), ModelFailed),
        (lambda connection: connection.sendall(b"SSH-2.0-OpenSSH\r\n"), BackendUnavailable),
        (lambda connection: None, BackendUnavailable),
        (
            lambda c: c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"),
            BackendUnavailable,
        ),
        (
            lambda c: c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n{"),
            ModelFailed,
        ),
        (drip, Timeout),
        (lambda connection: time.sleep(5), Timeout),
    ],
    ids=range(19),
)
def test_what_another_server_may_do(host: Flask, infer: t.Any, error: type[Exception]) -> None:
    impostor = Impostor(says("200 OK", outputs()))
    try:
        url = f"oip://127.0.0.1:{impostor.port}/m"
        with host.app_context():
            registry = current_ailydian.registry
            model = registry.storage.discover([url])
            registry.register(model.to_bytes(), "m", "v1", Declared(), kind="remote", activate=True)
            assert current_ailydian.predict("m", inputs={"x": [[1, 2]]})["outputs"] == {
                "y": [[0.25, 0.75]]
            }
            impostor.infer = infer
            started = time.monotonic()
            with pytest.raises(error) as caught:
                current_ailydian.predict("m", inputs={"x": [[1, 2]]}, timeout=0.5)
            assert time.monotonic() - started < 3
            assert "Traceback" not in str(caught.value)
            impostor.infer = says("200 OK", outputs())
            current_ailydian.predict("m", inputs={"x": [[1, 2]]})
    finally:
        impostor.close()


def test_a_caller_who_hangs_up_ends_the_call(host: Flask) -> None:
    impostor = Impostor(says("200 OK", outputs()))
    try:
        with host.app_context():
            impostor.registered()
            impostor.infer = lambda connection: time.sleep(5)
            gone = threading.Event()
            threading.Timer(0.2, gone.set).start()
            started = time.monotonic()
            with pytest.raises(ClientGone):
                current_ailydian.inference.answer(
                    lambda: Given("m", inputs={"x": [[1, 2]]}),
                    patience=Patience(gone=gone.is_set),
                )
            assert time.monotonic() - started < 3
    finally:
        impostor.close()


def test_impatient_callers_do_not_have_an_endpoint_left_alone(host: Flask) -> None:
    impostor = Impostor(says("200 OK", outputs()))
    try:
        with host.app_context():
            impostor.registered()
            impostor.infer = lambda connection: time.sleep(0.3)
            for _ in range(4):
                with pytest.raises(Timeout):
                    current_ailydian.predict("m", inputs={"x": [[1, 2]]}, timeout=0.05)
            impostor.infer = says("200 OK", outputs())
            current_ailydian.predict("m", inputs={"x": [[1, 2]]})
    finally:
        impostor.close()


def test_a_batch_is_sent_at_once_however_few_cores_there_are(
    make_app: t.Callable[..., Flask],
) -> None:
    host = make_app(AILYDIAN_SLOTS=1)
    together = threading.Barrier(8)

    def meet(connection: socket.socket) -> None:
        together.wait(10)
        says("200 OK", outputs())(connection)

    impostor = Impostor(says("200 OK", outputs()))
    try:
        with host.app_context():
            impostor.registered()
        impostor.infer = meet
        items = [{"inputs": {"x": [[float(i), 2]]}} for i in range(8)]
        answer = host.test_client().post(
            "/api/pytorch/inference/batch", json={"model_name": "m", "items": items}
        )
        assert answer.status_code == 200 and answer.json["succeeded"] == 8, answer.text
    finally:
        impostor.close()


def test_endpoints_are_among_the_metrics(host: Flask) -> None:
    pytest.importorskip("prometheus_client", reason="needs the extra prometheus")
    seen: list[str] = []

    def scraped() -> str:
        with host.app_context():
            return current_ailydian.metrics.prometheus.render()[0].decode()

    def look(connection: socket.socket) -> None:
        seen.append(scraped())
        says("200 OK", outputs())(connection)

    impostor = Impostor(look)
    try:
        with host.app_context():
            impostor.registered()
            assert "ailydian_remote_calls{" not in scraped()
            current_ailydian.predict("m", inputs={"x": [[1, 2]]})
            labels = f'{{endpoint="127.0.0.1:{impostor.port}",model="m",version="v1"}}'
            assert f"ailydian_remote_calls{labels} 1.0" in seen[-1]
            assert f"ailydian_remote_calls{labels} 0.0" in scraped()
            assert f"ailydian_remote_endpoint_up{labels} 1.0" in scraped()
            impostor.infer = says("503 No", b"")
            for _ in range(3):
                with pytest.raises(BackendUnavailable):
                    current_ailydian.predict("m", inputs={"x": [[1, 2]]})
            assert f"ailydian_remote_endpoint_up{labels} 0.0" in scraped()
    finally:
        impostor.close()


#: Takes a request, whatever it is, and answers with the JSON and as many bytes as it was told.
FAR_OFF = """
import socket, sys
head, count = sys.argv[1].encode(), int(sys.argv[2])
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
while True:
    connection, _ = listening.accept()
    with connection, connection.makefile("rwb") as file:
        while file.readline():
            length = 0
            while line := file.readline().strip().lower():
                if line.startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            file.read(length)
            size = len(head) + count
            file.write(b"HTTP/1.1 200 OK\\r\\n")
            file.write(b"Inference-Header-Content-Length: %d\\r\\n" % len(head))
            file.write(b"Content-Length: %d\\r\\n\\r\\n%s" % (size, head))
            file.write(bytes(count))
            file.flush()
"""


@pytest.mark.parametrize(("asked", "answered"), [(2**20, 1), (1, 2**20), (2**20, 2**20)])
def test_a_call_makes_no_copy_of_its_tensors(host: Flask, asked: int, answered: int) -> None:
    data, size = np.zeros((asked, 2), np.float32), 8 * answered
    entry = {"name": "y", "datatype": "FP32", "shape": [answered, 2]}
    body = json.dumps({"outputs": [entry | {"parameters": {"binary_data_size": size}}]})
    impostor = Impostor(says("200 OK", b""))
    try:
        with host.app_context():
            found = current_ailydian.registry.storage.discover(
                [f"oip://127.0.0.1:{impostor.port}/m"]
            )
    finally:
        impostor.close()
    # In a process of its own: what it holds of the tensors is not counted here.
    with subprocess.Popen(
        [sys.executable, "-c", FAR_OFF, body, str(size)], stdout=subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        try:
            endpoint = dataclasses.replace(found.endpoints[0], port=int(server.stdout.readline()))
            model = dataclasses.replace(found, binary=True, endpoints=(endpoint,))
            engine = RemoteEngine(model.to_bytes(), RemoteOptions())
            engine.run({"x": data}, deadline=time.monotonic() + 30)
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            outputs = engine.run({"x": data}, deadline=time.monotonic() + 30)
            most = tracemalloc.get_traced_memory()[1] - before
            tracemalloc.stop()
            engine.close()
        finally:
            server.kill()
    assert outputs["y"].nbytes == size
    # The answer has to be somewhere; nothing else of its size, or of the request's, may be.
    assert size <= most < size + 2**20
