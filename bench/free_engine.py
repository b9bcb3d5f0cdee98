"""A server of the Open Inference Protocol whose models cost nothing: PORT.

Every request gets the same answer; what is measured against it is everything else.
"""

from __future__ import annotations

import json
import socket
import sys
import threading

import numpy as np

#: Name, inputs and outputs of the models: a picture's tensor, and a few numbers.
MODELS = {
    "picture": ([-1, 3, 224, 224], [-1, 1000]),
    "small": ([-1, 8], [-1, 8]),
}
HEADER = b"Inference-Header-Content-Length"


def _answer(name: str) -> bytes:
    """Return the answer of ``infer``: head, JSON and a binary tensor."""
    shape = [1, *MODELS[name][1][1:]]
    data = np.full(shape, 1 / shape[1], np.float32).tobytes()
    output: dict[str, object] = {"name": "scores", "datatype": "FP32", "shape": shape}
    output["parameters"] = {"binary_data_size": len(data)}
    text = json.dumps({"model_name": name, "model_version": "1", "outputs": [output]}).encode()
    return _http(text + data, HEADER + b": %d\r\n" % len(text))


def _http(body: bytes, more: bytes = b"") -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
    return head + b"Content-Length: %d\r\n" % len(body) + more + b"\r\n" + body


def _said(name: str) -> bytes:
    inputs, outputs = MODELS[name]
    return _http(
        json.dumps(
            {
                "name": name,
                "versions": ["1"],
                "platform": "nothing",
                "inputs": [{"name": "input", "datatype": "FP32", "shape": inputs}],
                "outputs": [{"name": "scores", "datatype": "FP32", "shape": outputs}],
            }
        ).encode()
    )


ANSWERS = {f"/v2/models/{name}/infer".encode(): _answer(name) for name in MODELS}
ANSWERS |= {f"/v2/models/{name}".encode(): _said(name) for name in MODELS}
ANSWERS[b"/v2"] = _http(json.dumps({"extensions": ["binary_tensor_data"]}).encode())
READY = _http(b"{}")


def serve(connection: socket.socket) -> None:
    """Answer the requests of one connection."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    buffer = bytearray(2**20)
    view, held = memoryview(buffer), 0
    with connection:
        while True:
            while (end := buffer.find(b"\r\n\r\n", 0, held)) < 0:
                count = connection.recv_into(view[held:])
                if not count:
                    return
                held += count
            head = bytes(view[:end])
            length = b"0"
            for line in head.split(b"\r\n")[1:]:
                name, _, text = line.partition(b":")
                if name.lower() == b"content-length":
                    length = text.strip()
            left = int(length) - (held - end - 4)
            while left > 0:
                count = connection.recv_into(view[: min(left, len(buffer))])
                if not count:
                    return
                left -= count
            held = 0
            path = head.split(b" ", 2)[1]
            connection.sendall(ANSWERS.get(path, READY))


def main() -> None:
    """Listen on loopback."""
    listening = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=256)
    while True:
        connection, _ = listening.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
