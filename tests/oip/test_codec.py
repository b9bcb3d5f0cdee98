"""Tensors survive the way there and back, and what is broken is said to be."""

from __future__ import annotations

import json
import typing as t

import numpy as np
import pytest
from hypothesis import example
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_st

from flask_ailydian.errors import AilydianError
from flask_ailydian.errors import BodyTooLarge
from flask_ailydian.errors import InvalidInput
from flask_ailydian.errors import InvalidJSON
from flask_ailydian.errors import UnknownTensor
from flask_ailydian.errors import WrongDatatype
from flask_ailydian.errors import WrongShape
from flask_ailydian.errors import WrongSize
from flask_ailydian.oip import compression
from flask_ailydian.oip import elements
from flask_ailydian.oip import messages
from flask_ailydian.oip.datatypes import DTYPES
from flask_ailydian.oip.matching import classified
from flask_ailydian.oip.matching import matched
from flask_ailydian.oip.tensors import canonical

MOST = 100_000
NUMBERS = [dtype for dtype in DTYPES.values() if dtype != "string"]


@st.composite
def arrays(draw: t.Any) -> t.Any:
    shape = draw(numpy_st.array_shapes(max_dims=4, max_side=5))
    dtype = draw(st.sampled_from([*NUMBERS, "string"]))
    if dtype == "string":
        count = int(np.prod(shape))
        texts = draw(
            st.lists(
                st.text(st.characters(codec="utf-8", exclude_characters="\0")),
                min_size=count,
                max_size=count,
            )
        )
        return elements.objects(texts, shape)
    finite: dict[str, t.Any] = {}
    if dtype.startswith("float"):
        finite = {"elements": {"allow_nan": False, "allow_infinity": False}}
    return draw(numpy_st.arrays(dtype, shape, **finite))


def same(one: t.Any, other: t.Any) -> bool:
    if one.dtype == object:
        one, other = np.vectorize(elements.as_text)(one), np.vectorize(elements.as_text)(other)
    return (
        one.shape == other.shape
        and one.dtype.kind == other.dtype.kind
        and bool((one == other).all())
    )


@given(
    st.dictionaries(st.text(min_size=1, max_size=20), arrays(), min_size=1, max_size=4),
    st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_what_is_written_is_what_is_read(tensors: dict[str, t.Any], binary: bool) -> None:
    tensors = {
        name.encode("utf-8", "replace").decode().replace("\0", "0"): a
        for name, a in tensors.items()
    }
    head, behind = messages.write_request("i", tensors, ["out"], binary=binary)
    body = b"".join((head, *behind))
    text, tail = messages.split(body, str(len(head)) if behind else None)
    asked = messages.read_request(text, tail, max_elements=MOST)
    assert [x.name for x in asked.inputs] == list(tensors)
    assert all(same(x.array, tensors[x.name]) for x in asked.inputs)
    assert asked.wanted == (messages.Wanted("out", binary),)
    head, behind = messages.write_answer({}, [(n, a, binary) for n, a in tensors.items()])
    found = messages.read_answer(head, b"".join(behind), max_elements=MOST)
    assert all(same(found[name], array) for name, array in tensors.items())


def test_a_tensor_is_neither_copied_on_the_way_out_nor_on_the_way_in() -> None:
    array = np.arange(600, dtype=np.float32).reshape(2, 300)
    head, (data,) = messages.write_request("i", {"x": array}, [], binary=True)
    assert np.shares_memory(np.frombuffer(data, np.float32), array)
    tail = bytearray(data)
    read = messages.read_request(head, tail, max_elements=MOST).inputs[0].array
    assert np.shares_memory(read, np.frombuffer(tail, np.float32))


@given(st.binary(max_size=300), st.none() | st.text(max_size=5) | st.integers(0, 400).map(str))
@example(
    b'{"inputs":[{"name":"x","shape":[1099511627775],"datatype":"BYTES",'
    b'"parameters":{"binary_data_size":0}}]}',
    None,
)
@settings(max_examples=300, deadline=None)
def test_noise_is_refused_in_a_sentence(body: bytes, length: str | None) -> None:
    try:
        head, tail = messages.split(body, length)
        messages.read_request(head, tail, max_elements=MOST)
    except AilydianError as error:
        assert error.status == 400


@st.composite
def nearly_right(draw: t.Any) -> tuple[dict[str, t.Any], bytes]:
    """An entry whose parts are each possible, and the bytes behind the JSON."""
    sides = st.sampled_from([0, 1, 2, 3, -1, 2**31, 2**39, 2**40, 2.0, True, None])
    entry: dict[str, t.Any] = {"name": "x", "shape": draw(st.lists(sides, max_size=5))}
    entry["datatype"] = draw(st.sampled_from([*DTYPES, "BF16", None]))
    tail = draw(st.binary(max_size=40))
    if draw(st.booleans()):
        entry["parameters"] = {
            "binary_data_size": draw(st.sampled_from([len(tail), 0, -1, 2**60, None, 1.0]))
        }
    if draw(st.booleans()):
        numbers = st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans(), st.text())
        entry["data"] = draw(st.recursive(st.lists(numbers, max_size=4), st.lists, max_leaves=6))
    return entry, tail


@given(nearly_right())
@example(({"name": "x", "shape": [0, 2**39, 2**39], "datatype": "FP32", "data": []}, b""))
@settings(max_examples=500, deadline=None)
def test_what_is_nearly_right_is_read_or_refused(case: tuple[dict[str, t.Any], bytes]) -> None:
    entry, tail = case
    try:
        body = json.dumps({"inputs": [entry]}).encode()
        found = messages.read_request(body, tail, max_elements=MOST).inputs[0].array
    except AilydianError as error:
        assert error.status == 400
    else:
        assert list(found.shape) == entry["shape"]


def test_bytes_are_as_few_as_json_may_hold() -> None:
    entry = {"name": "x", "shape": [8], "datatype": "BYTES", "parameters": {"binary_data_size": 32}}
    body = json.dumps({"inputs": [entry]}).encode()
    assert messages.read_request(body, bytes(32), max_elements=8).inputs[0].array.shape == (8,)
    with pytest.raises(WrongSize):
        messages.read_request(body, bytes(32), max_elements=7)


WELL: dict[str, t.Any] = {"name": "x", "shape": [2], "datatype": "FP32", "data": [1, 2]}


@pytest.mark.parametrize(
    ("change", "tail", "error"),
    [
        ({"shape": [3]}, b"", WrongSize),
        ({"shape": [-1]}, b"", WrongShape),
        ({"shape": [2.0]}, b"", WrongShape),
        ({"shape": [True]}, b"", WrongShape),
        ({"shape": None}, b"", WrongShape),
        ({"shape": [1] * 17}, b"", WrongShape),
        ({"datatype": "FP31"}, b"", WrongDatatype),
        ({"datatype": ["FP32"]}, b"", WrongDatatype),
        ({"datatype": "INT8", "data": [1, 200]}, b"", WrongSize),
        ({"datatype": "UINT8", "data": [1, -1]}, b"", WrongSize),
        ({"datatype": "BOOL"}, b"", WrongSize),
        ({"datatype": "BYTES"}, b"", WrongSize),
        ({"datatype": "FP16", "data": [1, 1e6]}, b"", WrongSize),
        ({"data": [[1], [2]]}, b"", WrongSize),
        ({"data": [[1, 2], [3]]}, b"", WrongSize),
        ({"data": "12"}, b"", InvalidInput),
        ({"data": None}, b"", InvalidInput),
        ({"name": ""}, b"", InvalidInput),
        ({"name": 7}, b"", InvalidInput),
        ({"parameters": []}, b"", InvalidInput),
        ({"parameters": {"shared_memory_region": "r"}}, b"", InvalidInput),
        ({"parameters": {"binary_data_size": 8}}, bytes(8), InvalidInput),
        ({"data": ..., "parameters": {"binary_data_size": 8}}, bytes(7), WrongSize),
        ({"data": ..., "parameters": {"binary_data_size": 8}}, bytes(9), WrongSize),
        ({"data": ..., "parameters": {"binary_data_size": 4}}, bytes(4), WrongSize),
        ({"data": ..., "parameters": {"binary_data_size": -8}}, bytes(8), WrongSize),
        ({"data": ..., "parameters": {"binary_data_size": True}}, bytes(1), WrongSize),
        (
            {"data": ..., "datatype": "BOOL", "parameters": {"binary_data_size": 2}},
            b"\1\2",
            WrongSize,
        ),
        (
            {"data": ..., "datatype": "BYTES", "parameters": {"binary_data_size": 8}},
            b"\xff\xff\xff\xff\0\0\0\0",
            WrongSize,
        ),
        (
            {"data": ..., "datatype": "BYTES", "parameters": {"binary_data_size": 9}},
            bytes(9),
            WrongSize,
        ),
        ({"data": ...}, b"", InvalidInput),
        ({"data": ...}, bytes(8), InvalidInput),
    ],
)
def test_what_does_not_fit_is_named(
    change: dict[str, t.Any], tail: bytes, error: type[AilydianError]
) -> None:
    entry = {key: value for key, value in (WELL | change).items() if value is not ...}
    body = json.dumps({"inputs": [entry]}).encode()
    with pytest.raises(error) as caught:
        messages.read_request(body, tail, max_elements=MOST)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ([], InvalidInput),
        ({"inputs": []}, InvalidInput),
        ({"inputs": [WELL, WELL]}, UnknownTensor),
        ({"inputs": ["x"]}, InvalidJSON),
        ({"inputs": [WELL], "id": 7}, InvalidInput),
        ({"inputs": [WELL], "id": "x" * 256}, InvalidInput),
        ({"inputs": [WELL], "parameters": {"binary_data_output": 1}}, InvalidInput),
        ({"inputs": [WELL], "outputs": {}}, InvalidInput),
        ({"inputs": [WELL], "outputs": "y"}, InvalidInput),
        ({"inputs": [WELL], "outputs": ["y"]}, InvalidInput),
        ({"inputs": [WELL], "outputs": [{"name": "y"}, {"name": "y"}]}, UnknownTensor),
        (
            {"inputs": [WELL], "outputs": [{"name": "y", "parameters": {"classification": -1}}]},
            InvalidInput,
        ),
    ],
)
def test_a_request_that_is_none_is_refused(body: t.Any, error: type[AilydianError]) -> None:
    with pytest.raises(error):
        messages.read_request(json.dumps(body).encode(), b"", max_elements=MOST)


def test_the_elements_of_all_json_tensors_together_are_bounded() -> None:
    entries = [WELL | {"name": name} for name in "ab"]
    body = json.dumps({"inputs": entries}).encode()
    assert len(messages.read_request(body, b"", max_elements=4).inputs) == 2
    with pytest.raises(WrongSize):
        messages.read_request(body, b"", max_elements=3)


class Spec(t.NamedTuple):
    name: str
    dtype: str
    shape: tuple[int | str | None, ...]


def test_arrays_are_matched_with_what_a_model_takes() -> None:
    specs = [Spec("a", "float32", ("n", 2)), Spec("b", "float32", ("n",))]
    a, b = np.zeros((3, 2), np.float32), np.zeros(3, np.float32)
    assert list(matched({"b": b, "a": a}, specs)) == ["a", "b"]
    for arrays, error in (
        ({"a": a}, UnknownTensor),
        ({"a": a, "b": b, "c": b}, UnknownTensor),
        ({"a": a, "b": b.astype(np.float64)}, WrongDatatype),
        ({"a": a[:, :1], "b": b}, WrongShape),
        ({"a": a, "b": b[:2]}, WrongShape),
        ({"a": a[:0], "b": b[:0]}, WrongShape),
    ):
        with pytest.raises(error):
            matched(arrays, specs)


def test_a_tensor_that_begins_anywhere_is_put_where_its_type_begins() -> None:
    odd = np.frombuffer(b"x" + np.arange(4, dtype=np.float32).tobytes(), np.float32, offset=1)
    found = matched({"a": odd}, [Spec("a", "float32", (4,))])["a"]
    assert found.flags.aligned and found.tolist() == [0, 1, 2, 3]


def test_the_best_classes_are_named() -> None:
    scores = np.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]], np.float32)
    found = classified(scores, 2, ("a", "b"))
    assert found.tolist() == [
        ["0.700000:1:b", "0.200000:2"],
        ["0.500000:0:a", "0.300000:2"],
    ]
    assert classified(scores, 9, ()).shape == (2, 3)


def test_one_input_has_one_fingerprint_whatever_it_came_as() -> None:
    array = np.array([[1.5, 2.5]], np.float32)
    assert canonical({"x": array}) == canonical({"x": np.asfortranarray(array)})
    others = [{"y": array}, {"x": array.T}, {"x": array.astype(np.float64)}, {"x": array + 1}]
    assert canonical({"x": array}) not in [canonical(other) for other in others]


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_compressed_body_is_bounded(encoding: str) -> None:
    small = compression.shrink([bytes(1000), b"end"], encoding)
    assert compression.expand(small, encoding, limit=1003) == bytes(1000) + b"end"
    with pytest.raises(BodyTooLarge):
        compression.expand(small, encoding, limit=1002)
    for broken in (small[:-1], small + b"x", b"noise", b""):
        with pytest.raises(InvalidInput):
            compression.expand(broken, encoding, limit=1003)
    with pytest.raises(AilydianError):
        compression.expand(small, "br", limit=1003)
