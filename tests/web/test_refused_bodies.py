"""A body that is refused while it is still being sent: the client gets to read why."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from servers import serve
from servers import Server

PREFIX = "/api/pytorch"
LARGE = b"0" * (11 * 2**20)


@pytest.fixture(scope="module", params=["gunicorn", "gthread"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> t.Iterator[Server]:
    options = ("--threads", "4") if request.param == "gthread" else ()
    folder: Path = tmp_path_factory.mktemp("refused")
    with serve(folder, *options) as running:
        yield running


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize(
    ("path", "kind", "code"),
    [
        ("/inference?model_name=x", "image/png", "image_too_large"),
        ("/inference", "text/plain", "unsupported_media_type"),
        ("/query", "text/plain", "unsupported_media_type"),
        ("/models", "application/json", "unauthenticated"),
        ("/nowhere", "image/png", "not_found"),
        ("/health", "image/png", "method_not_allowed"),
    ],
)
def test_the_reason_arrives(server: Server, path: str, kind: str, code: str, chunked: bool) -> None:
    connection = server.connect()
    try:
        body = iter([LARGE]) if chunked else LARGE
        connection.request(
            "POST", PREFIX + path, body, {"Content-Type": kind}, encode_chunked=chunked
        )
        answer = connection.getresponse()
        assert f'"error":"{code}"'.encode() in answer.read()
    finally:
        connection.close()
