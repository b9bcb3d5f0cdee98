"""No raw input is kept anywhere, however a request ends."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest

MARK = b"GIZLI-HASTA-4711"


def traces(folder: Path) -> list[str]:
    """Return the files under *folder* that hold the mark, in one of its spellings."""
    text = MARK.decode()
    spellings = [MARK, text.encode("utf-16-le"), MARK.hex().encode(), MARK.lower()]
    for shift in range(3):
        # Three of four characters of base64 do not depend on what comes before or after.
        spelt = base64.b64encode(b"x" * shift + MARK)
        spellings.append(spelt[4 if shift else 0 :].rstrip(b"=")[:-2])
    return [
        str(file.relative_to(folder))
        for file in folder.rglob("*")
        if file.is_file() and any(s in file.read_bytes() for s in spellings)
    ]


def test_no_raw_input_is_kept_anywhere(tmp_path: Path) -> None:
    pytest.importorskip("pydicom", reason='no pydicom here; pip install -e ".[dicom]"')
    tests = Path(__file__).parents[1]
    (tmp_path / "temporary").mkdir()
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tests), str(tests.parent)]),
        "TMPDIR": str(tmp_path / "temporary"),
        "HOME": str(tmp_path),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "audit.asked", str(tmp_path)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (tmp_path / "output").write_bytes(done.stdout + done.stderr)
    written = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert {"host.db", "spool.db", "everything.log", "bodies"} <= {file.name for file in written}
    assert traces(tmp_path) == []
    # The search itself finds what is there.
    (tmp_path / "planted").write_bytes(b"xx" + base64.b64encode(b"a" + MARK))
    assert traces(tmp_path) == ["planted"]
