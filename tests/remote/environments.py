"""Real servers of the protocol, each in an environment of its own: `environments.py kserve`."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
#: Beside the bench's peers: both are left alone by Git, and cleaned by `make clean`.
FOLDER = HERE.parents[1] / "bench" / ".envs"


@dataclasses.dataclass(frozen=True)
class Environment:
    """What pip installs, with which Python, and the script that serves ONNX files."""

    name: str
    packages: tuple[str, ...]
    script: str
    python: str = sys.executable

    @property
    def folder(self) -> Path:
        """Where it is."""
        return FOLDER / self.name

    @property
    def there(self) -> bool:
        """Whether it was made, to the end."""
        return (self.folder / ".installed").exists()

    def command(self, port: int, models: dict[str, Path]) -> list[str]:
        """Return the command that serves *models* on loopback."""
        files = [f"{name}={path}" for name, path in models.items()]
        return [str(self.folder / "bin" / "python"), str(HERE / self.script), str(port), *files]

    def install(self) -> None:
        """Make it, unless it is there."""
        if self.there:
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        subprocess.run([self.python, "-m", "venv", "--without-pip", self.folder], check=True)
        pip = ["python3", "-m", "pip", "--python", str(self.folder), "install", "--quiet"]
        subprocess.run([*pip, *self.packages, "numpy", "onnxruntime"], check=True)
        (self.folder / ".installed").touch()


ENVIRONMENTS = {
    "kserve": Environment("kserve", ("kserve>=0.17",), "kserve_server.py"),
    # A newer uvloop has no event loop policy, which MLServer asks for.
    "mlserver": Environment("mlserver", ("mlserver>=1.7", "uvloop<0.22"), "mlserver_models.py"),
    # Its compiled backend is linked against the system's own Python.
    "triton": Environment(
        "triton", ("nvidia-pytriton>=0.7",), "triton_server.py", "/usr/bin/python3.11"
    ),
}

if __name__ == "__main__":
    for name in sys.argv[1:] or ENVIRONMENTS:
        print(f"{name} → {ENVIRONMENTS[name].folder}", flush=True)
        ENVIRONMENTS[name].install()
