"""Optimised graphs on disk: the same answers, sealed, and no need of theirs."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import onnx_models
import pytest

from flask_ailydian.engine import graph_cache
from flask_ailydian.engine.files import sha256_of
from flask_ailydian.engine.graph_cache import GraphCache
from flask_ailydian.engine.onnx_engine import OnnxEngine

pytestmark = pytest.mark.skipif(os.name != "posix", reason="graphs are saved on POSIX alone")
#: Above the size from which a graph is saved: 3 * 640 * 640 * 1 floats.
LARGE = onnx_models.classifier(labels=1, size=640)
DIGEST = sha256_of(LARGE)


def cache_in(folder: Path, key: bytes = b"k" * 32) -> GraphCache:
    return GraphCache(folder / "graphs", lambda: key)


def place_of(path: str | None) -> Path:
    assert path is not None
    return Path(path).parent


def test_a_saved_graph_gives_the_same_answers_on_one_thread_and_on_many(tmp_path: Path) -> None:
    path = cache_in(tmp_path).open(LARGE, DIGEST)
    plain, saved = OnnxEngine(LARGE, threads=2), OnnxEngine(str(path), threads=2)
    rng = np.random.default_rng(0)
    arrays = {"input": rng.normal(size=(1, 3, 640, 640)).astype(np.float32)}
    wanted = plain.run(arrays, deadline=None)["probabilities"]
    for alone in (False, True):
        found = saved.run(arrays, deadline=None, alone=alone)["probabilities"]
        np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert (saved.inputs, saved.outputs) == (plain.inputs, plain.outputs)


def test_the_second_opening_writes_nothing(tmp_path: Path) -> None:
    first = cache_in(tmp_path).open(LARGE, DIGEST)
    before = place_of(first).lstat().st_ino
    assert cache_in(tmp_path).open(LARGE, DIGEST) == first
    assert place_of(first).lstat().st_ino == before


@pytest.mark.parametrize("name", ["graph.onnx", "weights.bin", "seal"])
def test_a_graph_that_somebody_changed_is_made_anew(tmp_path: Path, name: str) -> None:
    path = cache_in(tmp_path).open(LARGE, DIGEST)
    file = place_of(path) / name
    whole = file.read_bytes()
    file.chmod(0o600)
    file.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    assert cache_in(tmp_path).open(LARGE, DIGEST) == path
    if name != "seal":
        assert file.read_bytes() == whole


def test_a_graph_sealed_with_another_key_is_not_opened(tmp_path: Path) -> None:
    path = cache_in(tmp_path, b"a" * 32).open(LARGE, DIGEST)
    before = place_of(path).lstat().st_ino
    assert cache_in(tmp_path, b"b" * 32).open(LARGE, DIGEST) == path
    assert place_of(path).lstat().st_ino != before


def test_a_graph_of_another_model_in_its_place_is_not_opened(tmp_path: Path) -> None:
    other = onnx_models.classifier(labels=1, size=640, seed=1)
    cache = cache_in(tmp_path)
    wrong, right = (place_of(cache.open(m, sha256_of(m))) for m in (other, LARGE))
    for name in (*graph_cache.FILES, "seal"):
        (right / name).unlink()
        (right / name).write_bytes((wrong / name).read_bytes())
    weights = (wrong / "weights.bin").read_bytes()
    cache.open(LARGE, DIGEST)
    assert (right / "weights.bin").read_bytes() != weights


@pytest.mark.parametrize("how", ["link", "open folder", "linked weights"])
def test_a_place_that_others_may_change_is_not_trusted(tmp_path: Path, how: str) -> None:
    path = cache_in(tmp_path).open(LARGE, DIGEST)
    place = place_of(path)
    if how == "link":
        place.rename(tmp_path / "elsewhere")
        place.symlink_to(tmp_path / "elsewhere")
    elif how == "open folder":
        place.chmod(0o777)
    else:
        (place / "weights.bin").rename(tmp_path / "w")
        (place / "weights.bin").symlink_to(tmp_path / "w")
    found = cache_in(tmp_path).open(LARGE, DIGEST)
    if found is not None:
        assert not place.is_symlink() and place.lstat().st_mode & 0o077 == 0
        assert not (place / "weights.bin").is_symlink()


def test_small_models_and_full_disks_do_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = onnx_models.classifier()
    assert cache_in(tmp_path).open(small, sha256_of(small)) is None
    (tmp_path / "graphs").write_text("a file where the folder should be")
    assert cache_in(tmp_path).open(LARGE, DIGEST) is None
    assert not list(tmp_path.glob(".draft*"))


def test_workers_that_save_at_once_leave_one_whole_graph(tmp_path: Path) -> None:
    found: list[str | None] = []
    threads = [
        threading.Thread(target=lambda: found.append(cache_in(tmp_path).open(LARGE, DIGEST)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert cache_in(tmp_path).open(LARGE, DIGEST) is not None
    assert len(list((tmp_path / "graphs").iterdir())) == 1


def test_what_nobody_opened_for_a_month_is_swept_away(tmp_path: Path) -> None:
    old = tmp_path / "graphs" / "old"
    old.mkdir(parents=True)
    os.utime(old, (0, 0))
    cache_in(tmp_path).open(LARGE, DIGEST)
    assert not old.exists()
