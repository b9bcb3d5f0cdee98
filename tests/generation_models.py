"""Tiny real models that write: a decoder with a cache of keys and values, and its tokeniser.

The decoder knows a few questions by one word each, and has an answer to each of them, a token a
step. It finds the question and the step in its cache, so that a broken cache breaks the answer.
"""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import numpy as np
import onnx_models
import tokenizers
from onnx import helper
from onnx import TensorProto

USER, ASSISTANT, SYSTEM, END = "<|user|>", "<|assistant|>", "<|system|>", "<|end|>"
TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
#: Word by which a question is known, the answer, and how far its tokens stand out.
SCRIPT = {
    "kütüphane": ("İşte: 09.00'da açılır. Çiçek, ığdır, şapka 🙂 👩‍🚀 🇹🇷!", 20.0),
    "otopark": ("Sanırım otoparkın saati 20 lira.", 6.0),
    "sonsuz": ("şğ" * 200, 20.0),
}
#: What it says to everything else.
OTHER = ("Bilmiyorum.", 20.0)
LAYERS, WIDTH, CONTEXT = 2, 4, 2048


def tokenizer() -> t.Any:
    """A token for each byte, and one for each of the words by which questions are known."""
    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    made = tokenizers.Tokenizer(
        tokenizers.models.BPE({letter: i for i, letter in enumerate(letters)}, [])
    )
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    made.add_special_tokens([USER, ASSISTANT, SYSTEM, END])
    made.add_tokens(list(SCRIPT))
    return made


def decoder(*, work: int = 0) -> bytes:
    """`input_ids`, `attention_mask` and the cache → `logits` and the cache with what is new.

    :param work: Rounds of a product of matrices for each call, to take time.
    """
    tokens = tokenizer()
    spoken = [OTHER, *SCRIPT.values()]
    ids = [[*tokens.encode(text).ids, tokens.token_to_id(END)] for text, _ in spoken]
    steps = max(map(len, ids))
    table = np.zeros((len(spoken), steps, tokens.get_vocab_size()), np.float32)
    for row, (_, sharp) in enumerate(spoken):
        table[row, np.arange(steps), ids[row] + ids[row][-1:] * (steps - len(ids[row]))] = sharp
    weights: dict[str, t.Any] = {
        "table": table,
        "known": np.array([tokens.token_to_id(word) for word in SCRIPT], np.float32),
        "rows": np.arange(1, len(SCRIPT) + 1, dtype=np.float32),
        "marker": np.array(tokens.token_to_id(ASSISTANT), np.float32),
        "zero": np.array(0, np.int64),
        "one": np.array(1, np.int64),
        "first": np.array([0], np.int64),
        "second": np.array([1], np.int64),
        "flat": np.array([-1], np.int64),
        "last": np.array(steps - 1, np.int64),
        "sides": np.array([1, 3], np.int64),
        "wide": np.array([1, 1, 1, WIDTH], np.int64),
    }
    node = helper.make_node
    nodes = [
        node("Cast", ["input_ids"], ["ids"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["ids", "sides"], ["narrow"]),
        node("Tile", ["narrow", "wide"], ["new"]),
    ]
    inputs = [
        onnx_models.value("input_ids", ["batch", "new"], TensorProto.INT64),
        onnx_models.value("attention_mask", ["batch", "all"], TensorProto.INT64),
    ]
    outputs = [onnx_models.value("logits", ["batch", "new", table.shape[-1]])]
    for layer in range(LAYERS):
        for part in ("key", "value"):
            past, present = f"past_key_values.{layer}.{part}", f"present.{layer}.{part}"
            inputs.append(onnx_models.value(past, ["batch", 1, "past", WIDTH]))
            outputs.append(onnx_models.value(present, ["batch", 1, "all", WIDTH]))
            nodes.append(node("Concat", [past, "new"], [present], axis=2))
    nodes += [
        # Everything that was read and written so far, out of the last layer's values.
        node("Gather", [f"present.{LAYERS - 1}.value", "zero"], ["column"], axis=3),
        node("Reshape", ["column", "flat"], ["read"]),
        node("Shape", ["read"], ["length"]),
        node("Squeeze", ["length"], ["end"]),
        node("Range", ["zero", "end", "one"], ["places"]),
        node("Equal", ["read", "marker"], ["marked"]),
        node("Cast", ["marked"], ["marks"], to=TensorProto.INT64),
        node("Mul", ["marks", "places"], ["marked_places"]),
        node("ReduceMax", ["marked_places"], ["start"], keepdims=0),
        node("Shape", ["input_ids"], ["taken"]),
        node("Gather", ["taken", "one"], ["count"]),
        node("Sub", ["end", "count"], ["begin"]),
        node("Range", ["begin", "end", "one"], ["fresh"]),
        node("Sub", ["fresh", "start"], ["after"]),
        node("Max", ["after", "zero"], ["later"]),
        node("Min", ["later", "last"], ["step"]),
        node("Unsqueeze", ["read", "second"], ["each"]),
        node("Equal", ["each", "known"], ["found"]),
        node("Cast", ["found"], ["hits"], to=TensorProto.FLOAT),
        node("Mul", ["hits", "rows"], ["hit_rows"]),
        node("ReduceMax", ["hit_rows"], ["hit"], keepdims=0),
        node("Cast", ["hit"], ["row"], to=TensorProto.INT64),
        node("Gather", ["table", "row"], ["answer"]),
        node("Gather", ["answer", "step"], ["scores"]),
        node("Unsqueeze", ["scores", "first"], ["logits"]),
    ]
    if work:
        nodes[-1].output[0] = "early"
        weights |= {"yes": np.array(True), "square": np.eye(64, dtype=np.float32)}
        weights |= {"rounds": np.array(work, np.int64), "nothing": np.array(0, np.float32)}
        nodes += [
            node("Loop", ["rounds", "yes", "square"], ["worked"], body=onnx_models.turn(64)),
            node("ReduceMax", ["worked"], ["most"], keepdims=0),
            node("Mul", ["most", "nothing"], ["none"]),
            node("Add", ["early", "none"], ["logits"]),
        ]
    return onnx_models.build(nodes, inputs, outputs, weights)


def forgetful() -> bytes:
    """The same inputs and outputs, but a cache of one token: the second step cannot be taken."""
    node = helper.make_node
    nodes = [
        node("Cast", ["input_ids"], ["ids"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["ids", "last"], ["logits"]),
        node("Reshape", ["past_key_values.0.key", "empty"], ["present.0.key"]),
    ]
    inputs = [
        onnx_models.value("input_ids", ["batch", "new"], TensorProto.INT64),
        onnx_models.value("past_key_values.0.key", ["batch", 1, "past", WIDTH]),
    ]
    outputs = [onnx_models.value("logits", ["batch", "new", 1])]
    outputs.append(onnx_models.value("present.0.key", ["batch", 1, "all", WIDTH]))
    weights = {"last": np.array([2], np.int64), "empty": np.array([1, 1, 3, WIDTH], np.int64)}
    return onnx_models.build(nodes, inputs, outputs, weights)


def config() -> dict[str, t.Any]:
    """What `genai_config.json` says."""
    tokens = tokenizer()
    end = tokens.token_to_id(END)
    return {
        "model": {
            "type": "llama",
            "bos_token_id": end,
            "eos_token_id": end,
            "pad_token_id": end,
            "context_length": CONTEXT,
            "vocab_size": tokens.get_vocab_size(),
            "decoder": {
                "filename": "model.onnx",
                "session_options": {"provider_options": []},
                "head_size": WIDTH,
                "hidden_size": WIDTH,
                "num_attention_heads": 1,
                "num_hidden_layers": LAYERS,
                "num_key_value_heads": 1,
                "inputs": {
                    "input_ids": "input_ids",
                    "attention_mask": "attention_mask",
                    "past_key_names": "past_key_values.%d.key",
                    "past_value_names": "past_key_values.%d.value",
                },
                "outputs": {
                    "logits": "logits",
                    "present_key_names": "present.%d.key",
                    "present_value_names": "present.%d.value",
                },
            },
        },
        "search": {"max_length": CONTEXT, "past_present_share_buffer": False},
    }


def recipe() -> dict[str, t.Any]:
    """What is made of the folder when it is registered."""
    parts = [SYSTEM, USER, ASSISTANT]
    end = tokenizer().token_to_id(END)
    return {"end": [end], "context": CONTEXT, "template": parts}


def write(folder: Path, *, work: int = 0) -> Path:
    """Write the whole folder, as one for `onnxruntime-genai` is, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(decoder(work=work))
    (folder / "genai_config.json").write_text(json.dumps(config()), "utf-8")
    (folder / "tokenizer.json").write_text(tokenizer().to_str(), "utf-8")
    more = {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": TEMPLATE}
    more |= {"eos_token": END, "bos_token": END, "pad_token": END, "add_bos_token": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(more), "utf-8")
    return folder
