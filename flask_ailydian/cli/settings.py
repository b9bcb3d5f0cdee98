"""``flask ailydian config``."""

from __future__ import annotations

import dataclasses

import click
from flask import current_app

from ..settings import describe
from ..state import current_ailydian
from .group import ailydian
from .group import json_option
from .group import print_json
from .group import print_table


@ailydian.command("config")
@json_option
def config(as_json: bool) -> None:
    """Print every setting, its value and where it came from."""
    rows = describe(current_ailydian.settings, current_app.config)
    if as_json:
        print_json([dataclasses.asdict(row) for row in rows])
        return
    print_table(("KEY", "VALUE", "ORIGIN"), [(r.key, repr(r.value), r.origin) for r in rows])
    click.echo("\nEnvironment: FLASK_<KEY>, when the app calls config.from_prefixed_env().")
