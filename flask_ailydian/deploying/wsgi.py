"""The app as ``flask --app`` finds it, for servers that want a WSGI callable."""

from __future__ import annotations

import os
import sys

from flask import Flask
from flask.cli import ScriptInfo


def load(name: str | None = None) -> Flask:
    """Return the app called *name*, by the rules of ``flask --app``; ``None``: the usual files."""
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)
    return ScriptInfo(app_import_path=name).load_app()
