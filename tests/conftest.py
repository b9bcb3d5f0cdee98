from __future__ import annotations

import functools
import os
import typing as t
from pathlib import Path

import onnx_models
import pytest
import servers
from flask import Flask
from flask.testing import FlaskClient
from hosts import dispose
from hosts import make_host

from flask_ailydian import current_ailydian
from flask_ailydian import storage
from flask_ailydian.registration import Declared

REPOSITORY = Path(__file__).parents[1]
#: Rooms whose tests measure time or memory, or need the machine for themselves.
ALONE = ("chaos", "engine", "planning", "remote")
#: What takes a minute or more: begun first, so that nothing is left for one of two processes.
LONG = (
    "test_deploy.py",
    "test_learning.py",
    "test_revision.py",
    "test_schemathesis.py",
    "test_gunicorn.py",
    "test_job_workers.py",
    "test_bench.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `make test` does not run beside other tests, and put first what is long."""
    for item in items:
        if item.path.parent.name in ALONE:
            item.add_marker(pytest.mark.alone)
    places = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONG)))


def pytest_runtest_setup() -> None:
    """Leave behind what servers of earlier tests said."""
    servers.forget_ended()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> t.Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a failure what the servers of its test said last."""
    report = yield
    if report.failed:
        report.sections += servers.ends_of_logs()
    return report


@pytest.fixture(scope="session", autouse=True)
def _no_file_is_tried_twice() -> t.Iterator[None]:
    """Remember what the child process found in a file: that hangs on its bytes and limits alone.

    Most hosts of these tests register the same few files; a process for each took a quarter of
    the time. What the child does is tested in tests/engine, on the function itself.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "probe", functools.lru_cache(maxsize=64)(storage.probe))
        yield


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real photographs and models, which a stranger's checkout does not have."""
    folder = Path(os.environ.get("AILYDIAN_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "models").is_dir():
        pytest.skip("no real data here; set AILYDIAN_TEST_DATA to a folder that has it")
    return folder


@pytest.fixture
def make_app(tmp_path: Path) -> t.Iterator[t.Callable[..., Flask]]:
    made: list[Flask] = []

    def make(**config: t.Any) -> Flask:
        folder = tmp_path / f"host{len(made)}"
        folder.mkdir()
        made.append(make_host(folder, **config))
        return made[-1]

    yield make
    for app in made:
        dispose(app)


@pytest.fixture
def app(make_app: t.Callable[..., Flask]) -> Flask:
    """A host with the model `shapes` (three classes, 8x8 pixels) active."""
    app = make_app()
    with app.app_context():
        declared = Declared(
            labels=["circle", "square", "star"],
            domain="civic",
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
        )
        current_ailydian.registry.register(
            onnx_models.classifier(labels=3, size=8), "shapes", "v1", declared, activate=True
        )
    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()
