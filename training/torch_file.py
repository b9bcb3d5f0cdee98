"""Turns a pickled PyTorch model into a file that holds a graph and weights, and no code.

    python -m training.torch_file --model my_models:resnet50 --weights weights.pt --outputs 3 \
        --size 224 --labels labels.txt --out model.pt2

Weights are read with ``weights_only=True``: whole pickled modules run code when they are opened,
so load one where you trust it, and save its ``state_dict()``.
"""

from __future__ import annotations

import argparse
import io
import json
import typing as t
import warnings
from pathlib import Path

import torch

from .backbones import network


def export(
    module: t.Any, path: Path, *, size: int, channels: int = 3, labels: t.Sequence[str] = ()
) -> None:
    """Write *module* to ``.pt2`` (torch.export) or ``.pt`` (TorchScript), for any batch size."""
    image = torch.zeros(2, channels, size, size)
    extra = {"ailydian.labels": json.dumps(list(labels), ensure_ascii=False)} if labels else {}
    module = module.eval()
    made = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if path.suffix == ".pt2":
            batch = torch.export.Dim("batch", min=1, max=4096)
            program = torch.export.export(module, (image,), dynamic_shapes=({0: batch},))
            torch.export.save(program, made, extra_files=extra)
        elif path.suffix == ".pt":
            torch.jit.save(torch.jit.trace(module, image), made, _extra_files=extra)
        else:
            raise ValueError("Name the file .pt2 (torch.export) or .pt (TorchScript).")
    path.write_bytes(made.getvalue())


def main() -> None:
    """Read the command line and export."""
    parser = argparse.ArgumentParser(prog="python -m training.torch_file")
    parser.add_argument("--model", help="module:factory; by default the demo's network")
    parser.add_argument("--weights", type=Path, required=True, help="a pickled state_dict()")
    parser.add_argument("--outputs", type=int, required=True, help="how many classes")
    parser.add_argument("--size", type=int, default=224, help="side of the images")
    parser.add_argument("--labels", type=Path, help="one label a line")
    parser.add_argument("--out", type=Path, required=True, help="model.pt2 or model.pt")
    options = parser.parse_args()
    module = network(options.model, options.outputs)
    module.load_state_dict(torch.load(options.weights, map_location="cpu", weights_only=True))
    labels = options.labels.read_text("utf-8").split("\n") if options.labels else []
    kept = [label.strip() for label in labels if label.strip()]
    export(module, options.out, size=options.size, labels=kept)
    print(f"wrote {options.out.name}, {options.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
