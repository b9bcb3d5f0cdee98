"""A host that several masters serve: one database, one folder of models, one set of keys."""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

from flask import Flask
from hosts import make_host
from routing.conftest import PRICES
from routing.conftest import Twin


def create_app() -> Flask:
    """Return the host; its folder and settings come by the environment."""
    return make(Path(os.environ["SERVED_FOLDER"]), **json.loads(os.environ["SERVED_CONFIG"]))


def make(folder: Path, **config: t.Any) -> Flask:
    """Return the host; its paid backend says the question back."""
    app = make_host(
        folder,
        create=False,
        SQLALCHEMY_ENGINE_OPTIONS={"pool_size": 2, "max_overflow": 3, "pool_timeout": 20},
        AILYDIAN_THIRD_PARTY="twin",
        AILYDIAN_THIRD_PARTY_MODEL="twin-1",
        AILYDIAN_PRICES=PRICES,
        **config,
    )
    app.extensions["ailydian"].router.third_party.register("twin", Twin)
    return app
