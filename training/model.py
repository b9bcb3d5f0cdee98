"""The demo network: small, residual, and it reads a grey image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch import Tensor
from torch.nn import functional as F

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def normalise(grey: Tensor) -> Tensor:
    """Turn grey images in ``[0, 1]`` into the three channels a served model receives."""
    mean = torch.tensor(MEAN).view(1, 3, 1, 1)
    std = torch.tensor(STD).view(1, 3, 1, 1)
    return (grey.expand(-1, 3, -1, -1) - mean) / std


class Grey(nn.Module):
    """Undo the normalisation, then show the image twice: as it is and with local contrast."""

    def __init__(self, window: int = 31) -> None:
        super().__init__()
        self.window = window
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        grey = (image * self.std + self.mean).mean(dim=1, keepdim=True)
        centre = grey.mean(dim=(1, 2, 3), keepdim=True)
        spread = (grey - centre).square().mean(dim=(1, 2, 3), keepdim=True)
        whole = (grey - centre) / (spread + 1e-3).sqrt()
        # The lungs of a pale and of a dark print look alike only against their surroundings.
        around = self._blur(grey)
        detail = grey - around
        local = detail / (self._blur(detail.square()) + 1e-3).sqrt()
        return torch.cat([whole, local], dim=1)

    def _blur(self, image: Tensor) -> Tensor:
        # Rows, then columns: the same mean as one square window, at a fifteenth of its cost.
        window, half = self.window, self.window // 2
        rows = F.avg_pool2d(image, (1, window), 1, (0, half), count_include_pad=False)
        return F.avg_pool2d(rows, (window, 1), 1, (half, 0), count_include_pad=False)


class Squeeze(nn.Module):
    """Weigh the channels by what the whole image shows."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(channels, channels // 8, 1)
        self.up = nn.Conv2d(channels // 8, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = x.mean(dim=(2, 3), keepdim=True)
        return x * torch.sigmoid(self.up(F.relu(self.down(pooled))))


class Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(after)
        self.second = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(after)
        self.squeeze = Squeeze(after)
        # A block that starts as its own shortcut trains steadily from scratch.
        nn.init.zeros_(self.second_norm.weight)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride, stride),
                nn.Conv2d(before, after, 1, bias=False),
                nn.BatchNorm2d(after),
            )

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu(self.first_norm(self.first(x)))
        inner = self.squeeze(self.second_norm(self.second(inner)))
        return F.relu(inner + self.shortcut(x))


class Network(nn.Module):
    """Convolutions, a global average, one linear layer; logits out."""

    def __init__(self, outputs: int, widths: Sequence[int] = (24, 48, 96, 160)) -> None:
        super().__init__()
        first = widths[0]
        self.eyes = Grey()
        self.stem = nn.Sequential(
            nn.Conv2d(2, first, 5, 2, 2, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
        )
        before = (first, *widths[:-1])
        strides = (1, *([2] * (len(widths) - 1)))
        self.body = nn.Sequential(
            *(Block(b, a, s) for b, a, s in zip(before, widths, strides, strict=True))
        )
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(widths[-1], outputs)

    def features(self, image: Tensor) -> Tensor:
        """Return the last feature map, from which class-activation maps are drawn."""
        features: Tensor = self.body(self.stem(self.eyes(image)))
        return features

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.head(self.drop(self.features(image).mean(dim=(2, 3))))
        return logits
