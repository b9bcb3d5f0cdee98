"""Accountable machine-learning inference inside a Flask app."""

# ONNX Runtime reads this when it is first imported, by whomever; before it, nothing else.
from .engine.telemetry import silence as _silence

_silence()

from .extension import FlaskAilydian as FlaskAilydian  # noqa: E402
from .state import current_ailydian as current_ailydian  # noqa: E402
from .version import __version__ as __version__  # noqa: E402
