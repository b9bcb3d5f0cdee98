"""Random views of a batch of grey images, drawn on the whole batch at once."""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """How far a training view may stray from the image that would be served."""

    scale: float = 0.22
    shift: float = 0.08
    degrees: float = 10.0
    stretch: float = 0.08
    flip: float = 0.5
    brightness: float = 0.12
    contrast: float = 0.25
    gamma: float = 0.3
    noise: float = 0.015
    cutout: float = 0.5
    mixup: float = 0.2


def views(images: Tensor, size: int, how: Augmentation, chance: torch.Generator) -> Tensor:
    """Return one random ``[n, 1, size, size]`` view of each grey image in ``[0, 1]``."""
    grid = F.affine_grid(
        _matrices(len(images), how, chance), [len(images), 1, size, size], align_corners=False
    )
    moved = F.grid_sample(images, grid, padding_mode="zeros", align_corners=False)
    return _cut(_light(moved, how, chance), how, chance)


def mix(
    inputs: Tensor, targets: Tensor, how: Augmentation, chance: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Blend each example with another one; the share is drawn once per batch."""
    if how.mixup <= 0:
        return inputs, targets
    # Beta(a, a) from two gammas would need another generator; a power of a uniform has
    # the same shape, mostly near one and rarely an even blend.
    share = 1.0 - 0.5 * float(torch.rand((), generator=chance)) ** (1.0 / how.mixup)
    other = torch.randperm(len(inputs), generator=chance)
    return torch.lerp(inputs[other], inputs, share), torch.lerp(targets[other], targets, share)


def _uniform(count: int, reach: float, chance: torch.Generator) -> Tensor:
    return (torch.rand(count, generator=chance) * 2 - 1) * reach


def _matrices(count: int, how: Augmentation, chance: torch.Generator) -> Tensor:
    angle = _uniform(count, math.radians(how.degrees), chance)
    # Below one the view zooms in. The range leans that way, as a random crop does.
    zoom = 1.0 - how.scale + torch.rand(count, generator=chance) * how.scale * 1.3
    wide = zoom * torch.exp(_uniform(count, how.stretch, chance))
    high = zoom * torch.exp(_uniform(count, how.stretch, chance))
    mirror = torch.where(torch.rand(count, generator=chance) < how.flip, -1.0, 1.0)
    across = _uniform(count, how.shift, chance)
    down = _uniform(count, how.shift, chance)
    top = torch.stack([mirror * wide * angle.cos(), -high * angle.sin(), across], dim=1)
    bottom = torch.stack([mirror * wide * angle.sin(), high * angle.cos(), down], dim=1)
    return torch.stack([top, bottom], dim=1)


def _light(images: Tensor, how: Augmentation, chance: torch.Generator) -> Tensor:
    count = len(images)
    gamma = torch.exp(_uniform(count, how.gamma, chance)).view(-1, 1, 1, 1)
    gain = torch.exp(_uniform(count, how.contrast, chance)).view(-1, 1, 1, 1)
    offset = _uniform(count, how.brightness, chance).view(-1, 1, 1, 1)
    lit = images.clamp(1e-4, 1.0).pow(gamma)
    centre = lit.mean(dim=(1, 2, 3), keepdim=True)
    lit = (lit - centre) * gain + centre + offset
    lit = lit + torch.randn(lit.shape, generator=chance) * how.noise
    return lit.clamp(0.0, 1.0)


def _cut(images: Tensor, how: Augmentation, chance: torch.Generator) -> Tensor:
    size = images.shape[-1]
    for image in images:
        if float(torch.rand((), generator=chance)) < how.cutout:
            side = int(size * (0.1 + 0.25 * float(torch.rand((), generator=chance))))
            row, column = torch.randint(0, size - side, (2,), generator=chance).tolist()
            image[:, row : row + side, column : column + side] = image.mean()
    return images
