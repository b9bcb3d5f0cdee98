"""Without PyTorch everything else works, and what needs it says so."""

from __future__ import annotations

import sys

import pytest

from flask_ailydian.engine.open import open_engine
from flask_ailydian.errors import BackendUnavailable


def test_a_model_that_needs_pytorch_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(BackendUnavailable, match=r"flask-ailydian\[torch\]"):
        open_engine("torchscript", b"")
