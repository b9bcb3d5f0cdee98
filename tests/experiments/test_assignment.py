"""Assignment: published cases, own vectors, and what sticky means."""

from __future__ import annotations

import collections
import json
import typing as t
from pathlib import Path

import pytest

from flask_ailydian.experiments.assignment import assign
from flask_ailydian.experiments.assignment import choose_variation
from flask_ailydian.experiments.assignment import get_bucket_range
from flask_ailydian.experiments.assignment import get_equal_weights
from flask_ailydian.experiments.assignment import growthbook_hash
from flask_ailydian.experiments.assignment import in_namespace

NAMES = ("hash", "getBucketRange", "chooseVariation", "inNamespace", "getEqualWeights")


@pytest.fixture(scope="module")
def cases(data: Path) -> dict[str, t.Any]:
    file = data / "experiments" / "growthbook_cases.json"
    if not file.exists():
        pytest.skip("no published cases here; AILYDIAN_TEST_DATA has experiments/ elsewhere")
    return t.cast("dict[str, t.Any]", json.loads(file.read_text("utf-8")))


def test_every_published_case_is_there(cases: dict[str, t.Any]) -> None:
    assert all(len(cases[name]) >= 6 for name in NAMES)


def test_published_hashes(cases: dict[str, t.Any]) -> None:
    for seed, value, version, expected in cases["hash"]:
        assert growthbook_hash(seed, value, version) == expected


def test_published_ranges(cases: dict[str, t.Any]) -> None:
    for name, (count, coverage, weights), expected in cases["getBucketRange"]:
        found = [pytest.approx(pair) for pair in get_bucket_range(count, coverage, weights)]
        assert found == [tuple(pair) for pair in expected], name


def test_published_choices(cases: dict[str, t.Any]) -> None:
    for name, n, ranges, expected in cases["chooseVariation"]:
        assert choose_variation(n, ranges) == expected, name


def test_published_namespaces(cases: dict[str, t.Any]) -> None:
    for name, unit, namespace, expected in cases["inNamespace"]:
        assert in_namespace(unit, namespace) is expected, name


def test_published_equal_weights(cases: dict[str, t.Any]) -> None:
    for count, expected in cases["getEqualWeights"]:
        assert get_equal_weights(count) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "digest"),
    [("", 0x811C9DC5), ("a", 0xE40C292C), ("foobar", 0xBF9CF968)],
)
def test_the_hash_is_fnv1a_as_its_authors_publish_it(text: str, digest: int) -> None:
    assert growthbook_hash("", text, 1) == digest % 1000 / 1000


def test_letters_outside_ascii_are_hashed_as_utf16() -> None:
    def fnv(units: list[int]) -> int:
        value = 0x811C9DC5
        for unit in units:
            value = (value ^ unit) * 0x01000193 % 2**32
        return value

    assert growthbook_hash("", "ğ", 1) == fnv([0x11F]) % 1000 / 1000
    assert growthbook_hash("", "😀", 1) == fnv([0xD83D, 0xDE00]) % 1000 / 1000


def test_an_unknown_version_gives_no_place() -> None:
    assert growthbook_hash("a", "b", 3) is None


def test_raising_the_traffic_moves_nobody_who_is_in() -> None:
    units = [f"u{i}" for i in range(4000)]
    before = {unit: assign(unit, "seed", (0.18, 0.02)) for unit in units}
    after = {unit: assign(unit, "seed", (0.9, 0.1)) for unit in units}
    inside = [unit for unit in units if before[unit] >= 0]
    assert 600 < len(inside) < 1000
    assert all(after[unit] == before[unit] for unit in inside)
    assert -1 not in after.values()


def test_raising_the_second_share_moves_nobody_out_of_it() -> None:
    units = [f"u{i}" for i in range(4000)]
    before = {unit: assign(unit, "seed", (0.9, 0.1)) for unit in units}
    after = {unit: assign(unit, "seed", (0.5, 0.5)) for unit in units}
    assert all(after[unit] == 1 for unit in units if before[unit] == 1)


def test_shares_are_met() -> None:
    found = collections.Counter(assign(str(i), "a seed", (0.7, 0.3)) for i in range(20_000))
    # Four standard deviations.
    assert abs(found[1] - 6000) < 4 * (20_000 * 0.21) ** 0.5
    assert found[0] + found[1] == 20_000


def test_two_tests_assign_independently() -> None:
    pairs = collections.Counter(
        (assign(str(i), "one", (0.5, 0.5)), assign(str(i), "two", (0.5, 0.5)))
        for i in range(20_000)
    )
    assert all(abs(count - 5000) < 4 * (20_000 * 3 / 16) ** 0.5 for count in pairs.values())


def test_parts_of_a_namespace_share_nobody() -> None:
    first = {i for i in range(5000) if in_namespace(str(i), ("triage", 0, 0.4))}
    second = {i for i in range(5000) if in_namespace(str(i), ("triage", 0.4, 1))}
    assert first and not first & second and len(first | second) == 5000


@pytest.mark.parametrize("weights", [(0.6, 0.6), (-0.1, 0.5)])
def test_impossible_shares_are_refused(weights: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="Shares"):
        assign("u", "s", weights)


def test_nobody_is_in_a_test_without_traffic() -> None:
    assert assign("u", "s", (0.0, 0.0)) == -1
