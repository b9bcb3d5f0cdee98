"""The int8 variant of a model, where the package can make one."""

from __future__ import annotations

import json

from .workshop import Bench
from .workshop import Host


def make(bench: Bench, host: Host, model: str) -> str | None:
    """Let the package make an int8 version of *model*; return its version, or nothing."""
    if host.flask("ailydian", "models", "optimize", "--help", check=False).returncode:
        bench.say("int8: skipped, this version has no `flask ailydian models optimize`.")
        return None
    before = _versions(host, model)
    bench.say("int8: flask ailydian models optimize …")
    photos = str(bench.work / "photos")
    done = host.flask("ailydian", "models", "optimize", model, "--images", photos, check=False)
    if done.returncode:
        bench.say(f"int8: skipped, the variant was refused: {done.stdout}{done.stderr}")
        return None
    (made,) = _versions(host, model) - before
    return made


def _versions(host: Host, model: str) -> set[str]:
    rows = json.loads(host.flask("ailydian", "models", "list", "--json").stdout)
    return {row["version"] for row in rows if row["name"] == model}
