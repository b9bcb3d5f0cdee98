"""Text models as ONNX graphs: a text in, its characters folded, their n-grams, a linear layer.

The onnx package is imported on first use.
"""

from __future__ import annotations

import importlib
import json
import string
import typing as t

import numpy as np

Floats = np.ndarray[t.Any, np.dtype[np.float32]]
Gram = tuple[int, ...]

#: What a character counts as; everything else, and all punctuation, is a gap.
GAP, START, END = 0, 38, 39
SAME = {"ç": "c", "ğ": "g", "ı": "i", "ö": "o", "ş": "s", "ü": "u", "â": "a", "î": "i", "û": "u"}
SAME |= {"Ç": "c", "Ğ": "g", "İ": "i", "I": "i", "Ö": "o", "Ş": "s", "Ü": "u", "Â": "a", "Î": "i"}
LENGTHS = range(2, 6)


def codes() -> dict[str, int]:
    """Return the number of each character: capitals and Turkish letters fold into their kin."""
    plain = {c: number for number, c in enumerate(string.ascii_lowercase, 1)}
    plain |= {c: number for number, c in enumerate(string.digits, 27)}
    found = dict(plain)
    found |= {c: plain[c.lower()] for c in string.ascii_uppercase}
    found |= {c: plain[kin] for c, kin in SAME.items()}
    # The tokeniser marks where a text begins and ends.
    return found | {"\x02": START, "\x03": END}


def grams(text: str) -> list[Gram]:
    """Return the n-grams of *text* as the graph sees them."""
    known = codes()
    numbers = [START, *(known.get(c, GAP) for c in text), END]
    return [tuple(numbers[i : i + n]) for n in LENGTHS for i in range(len(numbers) - n + 1)]


def features(texts: t.Sequence[str], vocabulary: t.Sequence[Gram]) -> Floats:
    """Return what the graph computes before its linear layer, a row a text."""
    place = {gram: i for i, gram in enumerate(vocabulary)}
    found = np.zeros((len(texts), len(vocabulary)), np.float32)
    for row, text in enumerate(texts):
        for gram in grams(text):
            if gram in place:
                found[row, place[gram]] += 1
    found = np.log1p(found)
    length = np.linalg.norm(found, axis=1, keepdims=True)
    scaled: Floats = found / np.maximum(length, 1e-6)
    return scaled


def front(
    vocabulary: t.Sequence[Gram], rarity: Floats | None = None
) -> tuple[list[t.Any], dict[str, t.Any]]:
    """Return the nodes from ``text`` to ``features``, and the constants they need.

    :param vocabulary: In the order of their lengths.
    :param rarity: A weight for each of them.
    """
    helper = importlib.import_module("onnx.helper")
    starts: list[int] = []
    pool: list[int] = []
    for n in range(1, LENGTHS.stop):
        starts.append(len(pool))
        for gram in vocabulary:
            if len(gram) == n:
                pool += gram
    mapping = codes()
    nodes = [
        helper.make_node(
            "Tokenizer",
            ["text"],
            ["characters"],
            domain="com.microsoft",
            mark=1,
            mincharnum=1,
            pad_value="\x03",
            separators=[""],
        ),
        helper.make_node(
            "LabelEncoder",
            ["characters"],
            ["numbers"],
            domain="ai.onnx.ml",
            keys_strings=list(mapping),
            values_int64s=list(mapping.values()),
            default_int64=GAP,
        ),
        helper.make_node(
            "TfIdfVectorizer",
            ["numbers"],
            ["counts"],
            min_gram_length=LENGTHS.start,
            max_gram_length=LENGTHS.stop - 1,
            max_skip_count=0,
            mode="TF",
            ngram_counts=starts,
            ngram_indexes=list(range(len(vocabulary))),
            pool_int64s=pool,
        ),
        helper.make_node("Add", ["counts", "one"], ["more"]),
        helper.make_node("Log", ["more"], ["logs"]),
        helper.make_node("Mul", ["logs", "rarity"], ["weighed"]),
        helper.make_node("ReduceL2", ["weighed"], ["norm"], axes=[1], keepdims=1),
        helper.make_node("Max", ["norm", "tiny"], ["length"]),
        helper.make_node("Div", ["weighed", "length"], ["features"]),
    ]
    constants: dict[str, t.Any] = {"one": np.float32(1), "tiny": np.float32(1e-6)}
    constants["rarity"] = np.float32(1) if rarity is None else rarity
    return nodes, constants


def model(
    nodes: list[t.Any],
    constants: dict[str, t.Any],
    output: tuple[str, list[t.Any]],
    metadata: dict[str, t.Any],
    numbers: dict[str, list[t.Any]] | None = None,
) -> bytes:
    """Return a whole model that takes ``text``, with what the registry should know of it.

    :param numbers: What else it takes, as shapes of floats by name.
    """
    helper = importlib.import_module("onnx.helper")
    numpy_helper = importlib.import_module("onnx.numpy_helper")
    kinds = importlib.import_module("onnx").TensorProto
    tensors = [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()]
    graph = helper.make_graph(
        nodes,
        "text",
        [
            helper.make_tensor_value_info("text", kinds.STRING, ["batch"]),
            *(helper.make_tensor_value_info(n, kinds.FLOAT, s) for n, s in (numbers or {}).items()),
        ],
        [helper.make_tensor_value_info(output[0], kinds.FLOAT, output[1])],
        tensors,
    )
    opsets = {"": 17, "ai.onnx.ml": 3, "com.microsoft": 1}
    made = helper.make_model(
        graph, opset_imports=[helper.make_opsetid(d, v) for d, v in opsets.items()], ir_version=8
    )
    made.producer_name = "flask-ailydian training"
    for key, value in metadata.items():
        entry = made.metadata_props.add()
        entry.key = f"ailydian.{key}"
        entry.value = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    data: bytes = made.SerializeToString()
    return data


def node(kind: str, inputs: list[str], outputs: list[str], **attributes: t.Any) -> t.Any:
    """Return one node of a graph."""
    return importlib.import_module("onnx.helper").make_node(kind, inputs, outputs, **attributes)
