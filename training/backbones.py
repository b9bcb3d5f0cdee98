"""Starting from what a user has: an ONNX file, or a PyTorch module."""

from __future__ import annotations

import importlib
import os
import typing as t
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from .measures import Floats
from .model import Network
from .model import normalise


def network(name: str | None, outputs: int) -> t.Any:
    """Return the network to train: this project's, or what ``module:factory`` makes.

    The factory gets the number of outputs and returns a module that gives logits for
    ``[n, 3, h, w]``: ``my_models:resnet50`` may load a hospital's own weights.
    """
    if name is None:
        return Network(outputs)
    module, _, factory = name.partition(":")
    if not factory:
        raise ValueError("Name a PyTorch backbone as module:factory, or give an ONNX file.")
    return getattr(importlib.import_module(module), factory)(outputs)


def features_of(path: Path, images: NDArray[np.uint8]) -> tuple[Floats, str]:
    """Return an ONNX backbone's flattened first output for grey images, and its name."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    runtime: t.Any = importlib.import_module("onnxruntime")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    source, target = session.get_inputs()[0].name, session.get_outputs()[0].name
    rows = []
    for part in torch.from_numpy(images)[:, None].float().div(255).split(16):
        (out,) = session.run([target], {source: normalise(part).numpy()})
        rows.append(out.reshape(len(out), -1))
    return np.concatenate(rows), target


def linear_head(
    features: Floats, targets: NDArray[np.float32], *, exclusive: bool, steps: int = 300
) -> tuple[Floats, Floats]:
    """Fit weight ``[outputs, features]`` and bias by regularised logistic regression."""
    mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-6
    x = torch.from_numpy(((features - mean) / spread).astype(np.float32))
    y = torch.from_numpy(targets)
    known = ~torch.isnan(y)
    head = torch.nn.Linear(x.shape[1], y.shape[1])
    optimiser = torch.optim.LBFGS(head.parameters(), max_iter=steps)

    def closure() -> t.Any:
        optimiser.zero_grad()
        logits = head(x)
        if exclusive:
            loss = -(y * F.log_softmax(logits, dim=1)).sum(dim=1).mean()
        else:
            target = torch.nan_to_num(y)
            each = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
            loss = (each * known).sum() / known.sum().clamp(min=1)
        loss = loss + 1e-3 * head.weight.square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    weight = head.weight.detach().numpy() / spread
    return weight, head.bias.detach().numpy() - weight @ mean
