"""The routes, their limits, models and keys."""

from __future__ import annotations

import dataclasses

from .declaring import option


@dataclasses.dataclass(frozen=True)
class CoreSettings:
    """The routes, their limits, models and keys."""

    url_prefix: str = option(
        "/api/pytorch", "Where the routes are mounted.", pattern=r"(/[A-Za-z0-9._~-]+)+"
    )
    model_dir: str = option(
        "", "Folder of the model files; empty: `ailydian/models` in the instance folder."
    )
    max_image_bytes: int = option(
        10 * 2**20, "Largest image accepted, in decoded bytes.", low=1, high=2**31
    )
    max_image_pixels: int = option(
        40_000_000, "Most pixels an image may have, by its header.", low=1, high=2**31
    )
    max_body_bytes: int = option(
        0,
        "Largest request body of `POST /inference`; 0: what an image of the largest size needs.",
        low=0,
        high=2**31,
    )
    max_model_bytes: int = option(512 * 2**20, "Largest model file accepted.", low=1, high=2**31)
    max_text_chars: int = option(4000, "Longest text accepted, in characters.", low=1, high=2**20)
    max_tensor_elements: int = option(
        4_000_000, "Most numbers that one request may hold.", low=1, high=2**31
    )
    timeout_seconds: float = option(
        30.0, "After so long an answer is given up.", low=0.01, high=3600
    )
    threads: int = option(
        0,
        "Threads that a run may use while it is the only one; 0: one per core. With 1 a model has "
        "one session, and int8 weights are in memory once.",
        low=0,
        high=1024,
    )
    probe_seconds: float = option(
        0.0,
        "Processor seconds that trying a new model may take; 0: 2, and 1 more for each 25 MB.",
        low=0,
        high=3600,
    )
    probe_memory_bytes: int = option(
        4 * 2**30, "How much memory a model may take while it is tried.", low=2**26, high=2**44
    )
    hash_key: str = option(
        "",
        "Key of the fingerprints of inputs; empty: one is made in the instance folder.",
        pattern=r"|.{16,}",
        secret=True,
    )
    redis_url: str = option(
        "",
        "A Redis that the workers share for breakers and cached answers of models: "
        "`redis://HOST:6379/0`; what it keeps expires, and all works without it.",
        secret=True,
    )
    api_keys: bool = option(
        False, "Whether machines may come with the keys of `flask ailydian key create`."
    )
    trusted_origins: tuple[str, ...] = option(
        (), "Other origins whose pages may send state-changing requests with cookies."
    )
