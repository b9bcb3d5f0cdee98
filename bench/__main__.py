"""``python -m bench``; ``make bench`` sets the options."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from . import report
from .figures import Row
from .figures import Skipped
from .lines import LINES
from .workshop import Bench

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Measure the lines that were asked for; write and show what was found; 1 when one failed."""
    options = _parser().parse_args()
    names = [name for name in options.only.split(",") if name] or list(LINES)
    unknown = [name for name in names if name not in LINES]
    if unknown:
        print(f"Unknown: {', '.join(unknown)}. There are {', '.join(LINES)}.", file=sys.stderr)
        return 2
    # A partial or a quick run must not stand where the whole one is read.
    whole = set(names) == set(LINES) and not options.quick
    started = time.monotonic()
    rounds = options.rounds or (1 if options.quick else 5)
    bench = Bench(rounds, options.quick, options.peers, HERE / ".work", say=_say)
    rows: list[Row] = []
    skipped: dict[str, str] = {}
    failed = False
    for name in names:
        _say(f"{name} …")
        try:
            rows += LINES[name](bench)
        except Skipped as reason:
            skipped[name] = str(reason)
        # One line that cannot be measured must not cost what the others found.
        except RuntimeError as error:
            _say(f"{name} failed: {error}")
            skipped[name] = "it failed"
            failed = True
    folder = HERE / "results" if whole else HERE / "results" / "tmp"
    report.write(folder, bench, rows, skipped, time.monotonic() - started)
    print(report.table(rows, skipped))
    print(f"{time.monotonic() - started:.0f} s; written to {folder.relative_to(HERE.parent)}.")
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=0, help="by default 5, with --quick 1")
    parser.add_argument("--quick", action="store_true", help="only see that it runs: a minute")
    parser.add_argument("--peers", action="store_true", help="install and measure other servers")
    parser.add_argument("--only", default="", help=f"some of {','.join(LINES)}")
    return parser


def _say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
