from __future__ import annotations

import base64
import json
import typing as t

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_ailydian.engine.signature import TensorSpec
from flask_ailydian.errors import ImageTooLarge
from flask_ailydian.errors import InvalidBase64
from flask_ailydian.errors import InvalidJSON
from flask_ailydian.errors import ValidationFailed
from flask_ailydian.inputs.encoding import decode_base64
from flask_ailydian.inputs.strict_json import loads
from flask_ailydian.inputs.tensors import to_arrays
from flask_ailydian.inputs.text import fold_turkish
from flask_ailydian.inputs.text import normalise

plain = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | plain,
    lambda x: st.lists(x, max_size=4) | st.dictionaries(plain, x, max_size=4),
    max_leaves=20,
)


@given(values, st.booleans())
def test_good_json_is_what_the_library_reads(value: t.Any, escaped: bool) -> None:
    text = json.dumps(value, ensure_ascii=escaped)
    assert loads(text.encode()) == value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"{",
        b"[1,]",
        b"{'a': 1}",
        b"nul",
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b"1e999",
        b"-1e999",
        b"1" * 5000,
        b'"\\ud800"',
        b'{"\\udfff": 1}',
        b'["\\ud800\\ud800"]',
        b'"\\u0000"',
        b'"\x00"',
        b'{"a": 1, "a": 2}',
        b'[{"b": {"a": 1, "a": 2}}]',
        b"\xef\xbb\xbf{}",
        b'"\xff"',
        '{"a":1}'.encode("utf-16"),
        b"[" * 100_000,
        b"[" * 33 + b"]" * 33,
        b'{"a":' * 40 + b"1" + b"}" * 40,
        b"1 2",
        b"/* no */ 1",
        b"01",
    ],
)
def test_bad_json_is_refused_in_one_sentence(data: bytes) -> None:
    with pytest.raises(InvalidJSON):
        loads(data)


def test_brackets_in_strings_are_no_depth() -> None:
    assert loads(json.dumps({"a": '["' * 100 + "\\"}).encode()) == {"a": '["' * 100 + "\\"}
    assert loads(b"[" * 32 + b"]" * 32)


def test_a_flood_of_escapes_takes_no_time_to_speak_of() -> None:
    with pytest.raises(InvalidJSON):
        loads(b'"' + b'\\"' * 1_000_000)


@given(st.binary(min_size=1, max_size=50))
def test_base64_comes_back_as_it_went(data: bytes) -> None:
    text = base64.b64encode(data).decode()
    spaced = "\r\n ".join(text[i : i + 7] for i in range(0, len(text), 7))
    assert decode_base64(text, max_bytes=50) == (data, None)
    assert decode_base64(f"data:image/PNG;base64,{spaced}", max_bytes=50) == (data, "image/png")
    with pytest.raises(ImageTooLarge):
        decode_base64(text, max_bytes=len(data) - 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "A",
        "AA",
        "AAA",
        "AB==",
        "AAB=",
        "AA=A",
        "AAAA====",
        "A-_A",
        "ÅAAA",
        "AAAA!",
        "data:image/png,AAAA",
        "data:,",
        "data:image/png;base64,",
        "http://127.0.0.1/x.png",
        "file:///etc/passwd",
        "ftp://a/b",
    ],
)
def test_what_is_not_base64_is_refused(text: str) -> None:
    with pytest.raises(InvalidBase64):
        decode_base64(text, max_bytes=100)


NUMBERS = [TensorSpec("x", "float32", ("n", 2))]


def test_nested_lists_become_arrays() -> None:
    array = to_arrays({"x": [[1, 2.5], [3, 4]]}, NUMBERS, max_elements=10)["x"]
    assert (array.dtype, array.tolist()) == (np.float32, [[1, 2.5], [3, 4]])
    word = to_arrays({"s": ["a"]}, [TensorSpec("s", "string", (1,))], max_elements=1)["s"]
    assert word.tolist() == ["a"]
    scalar = to_arrays({"s": 7}, [TensorSpec("s", "int64", ())], max_elements=1)["s"]
    assert (scalar.shape, int(scalar)) == ((), 7)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        ([[1, 2], [3]], "float32"),
        ([[1, [2]]], "float32"),
        ([1, 2], "float32"),
        ([[1, 2, 3]], "float32"),
        ([["1", "2"]], "float32"),
        ([[True, False]], "float32"),
        ([[None, 1]], "float32"),
        ([[1e300, 1]], "float32"),
        ([[70000, 1]], "float16"),
        ([[1.5, 1]], "int64"),
        ([[2**63, 1]], "int64"),
        ([[-1, 1]], "uint8"),
        ([[10**400, 1]], "float64"),
        ([[0, 1]], "bool"),
        ([[1, 2]], "string"),
        ({}, "float32"),
        ("text", "float32"),
        ([[1, 2]] * 6, "float32"),
    ],
)
def test_what_does_not_fit_a_signature_is_named(value: t.Any, dtype: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        to_arrays({"x": value}, [TensorSpec("x", dtype, ("n", 2))], max_elements=10)
    assert list(caught.value.fields["inputs"]) == ["x"]  # type: ignore[index]


@pytest.mark.parametrize("inputs", [None, [], {}, {"y": 1}, {"x": [[1, 2]], "y": 1}])
def test_missing_and_unknown_inputs_are_named(inputs: t.Any) -> None:
    with pytest.raises(ValidationFailed):
        to_arrays(inputs, NUMBERS, max_elements=10)


def test_turkish_keeps_its_two_letters_apart() -> None:
    assert fold_turkish("İLAÇ") == fold_turkish("ilaç") == fold_turkish("I\u0307LAC\u0327")
    assert fold_turkish("ISPARTA") == "ısparta"


def test_text_is_composed_and_checked() -> None:
    assert normalise("c\u0327ic\u0327ek", max_chars=99) == "çiçek"
    for wrong in ("", " \n", "a\x00", "a\x1b[0m", "\ud800", "xx" * 50):
        with pytest.raises(ValidationFailed):
            normalise(wrong, max_chars=50)
