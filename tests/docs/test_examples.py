"""Everything that the pages tell a reader to do works, and shows what they show."""

from __future__ import annotations

import logging
import os
import shutil
import typing as t
from pathlib import Path

import belongings
import pages
import pytest
from hosts import dispose
from reader import Reader

# The `env.py` that `flask db init` writes is Flask-Migrate's, and asks in the old way first.
pytestmark = pytest.mark.filterwarnings("ignore:'get_engine' is deprecated:DeprecationWarning")

#: What everybody does first; the other pages build on them, in any order.
FIRST = ("start", "models")
REST = [name for name in pages.PAIRS if name not in FIRST]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Reader]:
    if shutil.which("curl") is None and not os.environ.get("CI"):
        pytest.skip("no curl here; apt-get install curl")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANTHROPIC_API_KEY", "none")
        patch.setenv("OPENAI_API_KEY", "none")
        patch.delenv("DATABASE_URL", raising=False)
        patch.setattr(logging.getLogger("werkzeug"), "disabled", True)
        folder = tmp_path_factory.mktemp("reader")
        belongings.lay_out(folder)
        someone = Reader(folder)
        with someone.serving():
            for name in FIRST:
                someone.follow(pages.read("en", name))
            yield someone
        assert someone.app is not None
        dispose(someone.app)


@pytest.mark.parametrize("name", REST)
def test_a_page_s_examples_work(reader: Reader, name: str) -> None:
    reader.follow(pages.read("en", name))


def test_the_first_pages_show_more_than_words(reader: Reader) -> None:
    assert reader.ran > 10


@pytest.mark.parametrize(
    ("shown", "said", "right"),
    [
        ('{"a": 1, "b": …}', '{"a":1,"b":[2,3]}\n', True),
        ('{"a": 1, "b": …}', '{"a":2,"b":[2,3]}\n', False),
        ("done in … s", "done in 3 s, badly", False),
    ],
)
def test_the_reader_compares(shown: str, said: str, right: bool, tmp_path: Path) -> None:
    someone = Reader(tmp_path)
    if right:
        someone.compare(shown, said, "here")
    else:
        with pytest.raises(AssertionError, match="the page shows"):
            someone.compare(shown, said, "here")


def test_an_id_that_a_page_shows_is_the_same_wherever_it_stands(tmp_path: Path) -> None:
    someone = Reader(tmp_path)
    shown, real = (f"0000000{i}-0000-7000-8000-000000000000" for i in (1, 2))
    someone.compare(f"id {shown}", f"id {real}", "here")
    assert someone.run(f"echo {shown}", "here").strip() == real
    with pytest.raises(AssertionError, match="the page shows"):
        someone.compare(f"id {shown}", f"id {shown}", "here")
