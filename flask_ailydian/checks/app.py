"""The interpreter, the settings, and what models run on."""

from __future__ import annotations

import os
import sys

from .. import health
from ..engine.runtime import telemetry_state
from ..health import Finding
from ..routing.money import ANY
from ..routing.providers import Provider
from ..state import current_ailydian


def python() -> Finding:
    """Look at the interpreter."""
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding(sys.version_info >= (3, 11), f"Python {version}.", "Use Python 3.11 or newer.")


def settings() -> Finding:
    """Look at what a deployment should not leave open."""
    # init_app refused anything wrong; what is left is what a deployment should not leave open.
    state = current_ailydian
    if state.settings.hash_key:
        return Finding(True, "All keys are known and in range; the fingerprint key is configured.")
    return Finding(
        True,
        "All keys are known and in range; AILYDIAN_HASH_KEY is not set, so a key in the instance "
        "folder is used, and every machine needs the same one.",
    )


def folder() -> Finding:
    """Look whether model files can be stored."""
    folder = current_ailydian.registry.folder
    nearest = next(p for p in (folder, *folder.parents) if p.exists())
    if nearest.is_dir() and os.access(nearest, os.W_OK):
        return Finding(True, "The folder of the model files can be written.")
    return Finding(
        False,
        "The folder of the model files cannot be written.",
        "Set AILYDIAN_MODEL_DIR, or give this user the right to write there.",
    )


def telemetry() -> Finding:
    """Look whether ONNX Runtime is silent."""
    state = telemetry_state()
    return Finding(
        state == "off",
        f"ONNX Runtime's telemetry: {state}.",
        "Set ORT_DISABLE_TELEMETRY=1 in the environment, or import flask_ailydian first.",
    )


def engine() -> Finding:
    """Look at slots, queue and memory."""
    return health.engine(current_ailydian.serving, current_ailydian.prediction.executor)


def third_party() -> Finding:
    """Look at what is configured; nobody is called."""
    settings, router = current_ailydian.settings, current_ailydian.router
    if not settings.third_party:
        return Finding(True, "No paid backend is configured; queries are answered locally.")
    providers = list(router.third_party.providers.values())
    lacking = [(each, _lacks(each, several=len(providers) > 1)) for each in providers]
    wrong = [(each, lack) for each, lack in lacking if lack is not None]
    if not wrong:
        named = ", then ".join(f"{each.name} {each.model}" for each in providers)
        return Finding(True, f"{named} {'is' if len(providers) == 1 else 'are'} configured.")
    return Finding(
        False,
        " ".join(f"{each.name}: {lack}." for each, lack in wrong),
        " ".join(dict.fromkeys(_remedy(each, lack) for each, lack in wrong)),
    )


def _lacks(provider: Provider, *, several: bool) -> str | None:
    """Return why a paid backend cannot be asked, or not be accounted for beside others."""
    absent = provider.absence()
    if (
        absent is None
        and several
        and not {provider.model, ANY} & set(current_ailydian.settings.prices)
    ):
        return "no_price"
    return absent


def _remedy(provider: Provider, lack: str) -> str:
    if lack == "no_price":
        return f"Add {provider.model or provider.name} to AILYDIAN_PRICES."
    if lack in MEMBERS and provider.name != current_ailydian.settings.third_party:
        return f"Give {provider.name} a {MEMBERS[lack]} in AILYDIAN_THIRD_PARTY_FALLBACKS."
    return REMEDIES[lack]


def redis() -> Finding:
    """Look at the Redis that workers share, where one is configured."""
    state = current_ailydian
    if state.redis is None:
        return Finding(True, "None is configured; workers share nothing but the database.")
    return health.redis(state.redis, breakers_in_database=state.settings.breaker_shared)


#: What a backend beside the first lacks, by the member that says it.
MEMBERS = {"no_key": "key", "no_model_named": "model"}
REMEDIES = {
    "not_registered": "Name openai or anthropic, or register the backend before it is used.",
    "no_key": "Set AILYDIAN_THIRD_PARTY_KEY in the environment.",
    "no_model_named": "Set AILYDIAN_THIRD_PARTY_MODEL.",
    "sdk_not_installed": "Install the extra: flask-ailydian[openai] or flask-ailydian[anthropic].",
}
