"""Remote models over TLS: the server must be the one that is trusted, and may ask who calls."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import threading
import typing as t
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from flask import Flask
from test_remote import add
from test_remote import picture
from test_remote import RECIPE
from test_remote import SHAPES
from werkzeug.serving import make_server

from flask_ailydian import current_ailydian
from flask_ailydian.errors import BackendUnavailable


def certificate(folder: Path, name: str) -> Path:
    """Write a key and a certificate that signs itself, for loopback, into one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder(who, who, key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return file


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    return {name: str(certificate(tmp_path, name)) for name in ("server", "caller", "stranger")}


@pytest.fixture
def port(make_app: t.Callable[..., Flask], files: dict[str, str]) -> t.Iterator[int]:
    """A server that lets in who shows the certificate `caller`."""
    app = make_app()
    with app.app_context():
        current_ailydian.registry.register(SHAPES, "shapes", "v1", RECIPE, activate=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files["server"])
    context.load_verify_locations(files["caller"])
    context.verify_mode = ssl.CERT_REQUIRED
    server = make_server("127.0.0.1", 0, app, threaded=True, ssl_context=context)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_model_is_called_over_tls(
    make_app: t.Callable[..., Flask], port: int, files: dict[str, str]
) -> None:
    host = make_app(
        AILYDIAN_REMOTE_CA_FILE=files["server"], AILYDIAN_REMOTE_CERT_FILE=files["caller"]
    )
    add(host, port, scheme="oips")
    with host.app_context():
        for seed in range(3):
            assert current_ailydian.predict("shapes", image=picture(seed))["success"]


@pytest.mark.parametrize(
    ("trusted", "shown"), [("stranger", "caller"), ("server", "stranger"), ("", "caller")]
)
def test_nobody_else_is_believed(
    make_app: t.Callable[..., Flask], port: int, files: dict[str, str], trusted: str, shown: str
) -> None:
    host = make_app(
        AILYDIAN_REMOTE_CA_FILE=files.get(trusted, ""), AILYDIAN_REMOTE_CERT_FILE=files[shown]
    )
    with pytest.raises(BackendUnavailable):
        add(host, port, scheme="oips")


def test_a_file_that_is_not_there_is_named(make_app: t.Callable[..., Flask], port: int) -> None:
    with pytest.raises(BackendUnavailable, match="REMOTE_CA_FILE"):
        add(make_app(AILYDIAN_REMOTE_CA_FILE="/nowhere.pem"), port, scheme="oips")
