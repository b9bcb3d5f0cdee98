"""Other servers of the same model, each in an environment of its own, when ``PEERS=1``."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path

from .servers import Server
from .workshop import Bench

ENVIRONMENTS = Path(__file__).parent / ".envs"


@dataclasses.dataclass(frozen=True)
class Peer:
    """A peer: what pip installs, what runs in ``{bin}``, and where it takes a JPEG.

    :param multipart: Whether it wants the JPEG in a form, and not as the body.
    """

    name: str
    packages: tuple[str, ...]
    command: tuple[str, ...]
    path: str = "/predict"
    multipart: bool = False

    @property
    def folder(self) -> Path:
        """Where its environment is."""
        return ENVIRONMENTS / self.name

    @property
    def version(self) -> str:
        """What is installed, by its own name of itself."""
        folders = [str(path) for path in self.folder.glob("lib/python*/site-packages")]
        found = importlib.metadata.distributions(name=self.packages[0], path=folders)
        return next((one.version for one in found), "none")

    def install(self) -> None:
        """Make the environment, unless it is there."""
        done = self.folder / ".installed"
        if done.exists():
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", self.folder], check=True)
        pip = ["-m", "pip", "--python", str(self.folder), "install", "--quiet"]
        base = ("numpy", "onnxruntime", "pillow")
        # An environment of a Python without pip of its own: the system's fills it.
        if subprocess.run(["python3", *pip, *self.packages, *base]).returncode:
            raise RuntimeError(f"{self.name} could not be installed; what pip said stands above.")
        done.touch()

    def server(self, bench: Bench, model: str) -> Server:
        """Return the peer as a server, not started."""
        bin_folder = str(self.folder / "bin")
        command = [part.replace("{bin}", bin_folder) for part in self.command]
        environment = {
            "BENCH_MODEL": str(bench.model(model)),
            "DO_NOT_TRACK": "1",
            "BENTOML_DO_NOT_TRACK": "True",
        }
        work = bench.work / "peers"
        return Server(self.name, command, self.path, work, environment, multipart=self.multipart)


PEERS = (
    Peer(
        "fastapi",
        ("fastapi", "uvicorn[standard]"),
        (
            *("{bin}/uvicorn", "bench.peers.fastapi_app:app", "--host", "127.0.0.1"),
            *("--port", "{port}", "--log-level", "warning"),
        ),
    ),
    Peer(
        "litserve",
        ("litserve", "python-multipart"),
        ("{bin}/python", "bench/peers/litserve_app.py", "{port}"),
        multipart=True,
    ),
    Peer(
        "mosec",
        ("mosec",),
        (
            *("{bin}/python", "bench/peers/mosec_app.py", "--address", "127.0.0.1"),
            *("--port", "{port}", "--timeout", "120000", "--log-level", "warning"),
        ),
        path="/inference",
    ),
    Peer(
        "bentoml",
        ("bentoml",),
        (
            *("{bin}/bentoml", "serve", "bench.peers.bentoml_app:Photo", "--host", "127.0.0.1"),
            *("--port", "{port}"),
        ),
        multipart=True,
    ),
)


def servers(bench: Bench, model: str) -> list[Server]:
    """Return a server for each peer; none when peers were not asked for."""
    if not bench.peers:
        return []
    for peer in PEERS:
        if not (peer.folder / ".installed").exists():
            bench.say(f"Installing {peer.name} into {peer.folder} …")
            peer.install()
    return [peer.server(bench, model) for peer in PEERS]
