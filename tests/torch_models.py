"""Small real PyTorch files, good and hostile, as bytes; needs PyTorch."""

from __future__ import annotations

import io
import os
import pickle
import typing as t
import warnings
import zipfile

import torch

SIDE = 8


class Small(torch.nn.Module):
    """Convolution, norm, pooling, linear layer, softmax; a buffer that is not saved as such."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(3, 4, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(4)
        self.last = torch.nn.Linear(4, 3)
        self.register_buffer("offset", torch.tensor([0.1, 0.2, 0.3]), persistent=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        maps = torch.relu(self.norm(self.first(image)))
        pooled = torch.nn.functional.max_pool2d(maps, 2).mean((2, 3)).view(image.shape[0], -1)
        return torch.softmax(self.last(pooled) + self.offset, 1)


class Saves(torch.nn.Module):
    """Writes a file whenever it runs."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        torch.save(image, self.path)
        return image.mean((2, 3))


class Maps(torch.nn.Module):
    """Reads a file of the machine whenever it runs."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.mean((2, 3)) + torch.from_file(self.path, False, 3)


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> t.Any:
        return os.mkdir, (self.path,)


def small(seed: int = 0) -> Small:
    torch.manual_seed(seed)
    return Small().eval()


def script(module: torch.nn.Module, *, trace: bool = True, **extra: str) -> bytes:
    """Return a module as TorchScript; by its code, where it is not traced."""
    made = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = torch.zeros(2, 3, SIDE, SIDE)
        scripted = torch.jit.trace(module, image) if trace else torch.jit.script(module)
        torch.jit.save(scripted, made, _extra_files={f"ailydian.{k}": v for k, v in extra.items()})
    return made.getvalue()


def program(module: torch.nn.Module | None = None) -> bytes:
    """Return a module as a `torch.export` file with a free batch axis."""
    made = io.BytesIO()
    batch = torch.export.Dim("batch", min=1, max=64)
    image = torch.zeros(2, 3, SIDE, SIDE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exported = torch.export.export(module or small(), (image,), dynamic_shapes=({0: batch},))
        torch.export.save(exported, made)
    return made.getvalue()


def changed(data: bytes, change: t.Callable[[str, bytes], bytes]) -> bytes:
    """Return an archive with every part as *change* returns it."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(made, "w") as new:
        for info in old.infolist():
            new.writestr(info.filename, change(info.filename, old.read(info)))
    return made.getvalue()


def pickled_with(path: str) -> bytes:
    """Return a zip of PyTorch's whose pickle makes the folder *path*."""
    made = io.BytesIO()
    torch.save(Evil(path), made)
    return made.getvalue()


def bare_pickle(path: str) -> bytes:
    return pickle.dumps(Evil(path), protocol=2)
