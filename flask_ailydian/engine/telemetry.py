"""ONNX Runtime is told to keep quiet before anything can import it."""

from __future__ import annotations

import os
import sys

SWITCH = "ORT_DISABLE_TELEMETRY"
_loud = False


def silence() -> None:
    """Set the switch that ONNX Runtime reads once, when it is first imported."""
    global _loud
    _loud = "onnxruntime" in sys.modules and os.environ.get(SWITCH) != "1"
    os.environ[SWITCH] = "1"


def imported_too_early() -> bool:
    """Whether somebody imported ONNX Runtime before, without the switch."""
    return _loud
