"""The training loop: balanced sampling, random views, mixed examples, averaged weights."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import time
import typing as t

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from .augment import Augmentation
from .augment import mix
from .augment import views
from .model import normalise


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The numbers of one training run."""

    epochs: int = 60
    batch: int = 32
    rate: float = 2e-3
    decay: float = 0.05
    smoothing: float = 0.1
    averaging: float = 0.99
    size: int = 224
    seed: int = 0
    augmentation: Augmentation = dataclasses.field(default_factory=Augmentation)


def train(
    network: t.Any,
    images: NDArray[np.uint8],
    targets: NDArray[np.float32],
    recipe: Recipe,
    *,
    exclusive: bool,
    say: c.Callable[[str], None] = print,
) -> t.Any:
    """Train *network* in place and return it with the averaged weights.

    :param images: Grey, ``[n, side, side]``, a little larger than what is served.
    :param targets: ``[n, outputs]``; NaN is left out of the loss.
    :param exclusive: One class an image (softmax), or findings on their own (sigmoid).
    """
    chance = torch.Generator().manual_seed(recipe.seed)
    pictures = torch.from_numpy(images)[:, None].float() / 255
    truth = torch.from_numpy(targets)
    batches = len(truth) // recipe.batch
    optimiser = _optimiser(network, recipe)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.rate, total_steps=recipe.epochs * batches, pct_start=0.15
    )
    average = torch.optim.swa_utils.AveragedModel(
        network,
        multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(recipe.averaging),
        use_buffers=True,
    )
    weights = _weights(truth, exclusive)
    started = time.monotonic()
    for epoch in range(recipe.epochs):
        network.train()
        order = torch.multinomial(weights, len(truth), True, generator=chance)
        for batch in order[: batches * recipe.batch].split(recipe.batch):
            seen = views(pictures[batch], recipe.size, recipe.augmentation, chance)
            seen, wanted = mix(seen, truth[batch], recipe.augmentation, chance)
            with torch.autocast("cpu", torch.bfloat16):
                logits = network(normalise(seen).contiguous(memory_format=torch.channels_last))
            loss = _loss(logits.float(), wanted, recipe.smoothing, exclusive)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            average.update_parameters(network)
        spent = time.monotonic() - started
        say(f"epoch {epoch + 1}/{recipe.epochs}  loss {loss.item():.3f}  {spent:.0f} s")
    return average.module.eval()


def logits_of(network: t.Any, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the logits of grey images of the size that is served."""
    pictures = torch.from_numpy(images)[:, None].float() / 255
    with torch.no_grad():
        parts = [network.eval()(normalise(part)) for part in pictures.split(64)]
    return np.asarray(torch.cat(parts).double().numpy())


def _optimiser(network: t.Any, recipe: Recipe) -> t.Any:
    # Norms and biases are not pulled towards zero.
    heavy = [p for p in network.parameters() if p.ndim > 1]
    light = [p for p in network.parameters() if p.ndim <= 1]
    groups = [
        {"params": heavy, "weight_decay": recipe.decay},
        {"params": light, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.rate)


def _weights(truth: t.Any, exclusive: bool) -> t.Any:
    """Return how often to draw each example: every class alike, where there are classes."""
    if not exclusive:
        return torch.ones(len(truth), dtype=torch.float64)
    classes = truth.argmax(dim=1)
    return (1.0 / torch.bincount(classes).double())[classes]


def _loss(logits: t.Any, wanted: t.Any, smoothing: float, exclusive: bool) -> t.Any:
    if exclusive:
        soft = wanted * (1 - smoothing) + smoothing / wanted.shape[1]
        return -(soft * F.log_softmax(logits, dim=1)).sum(dim=1).mean()
    known = ~torch.isnan(wanted)
    soft = torch.nan_to_num(wanted) * (1 - smoothing) + smoothing / 2
    each = F.binary_cross_entropy_with_logits(logits, soft, reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)
