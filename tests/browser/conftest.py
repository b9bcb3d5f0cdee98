"""A real Chromium against a real server: nothing is mocked, and nothing may go wrong unseen."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import servers
from browser.clinic import PASSWORD
from browser.clinic import SETTINGS
from PIL import Image

if t.TYPE_CHECKING:
    from playwright.sync_api import Browser
    from playwright.sync_api import BrowserContext
    from playwright.sync_api import Page

REPOSITORY = Path(__file__).parents[2]
TESTS = REPOSITORY / "tests"
CHROMIUM = os.environ.get("AILYDIAN_CHROMIUM", "/usr/bin/chromium")
API = "/api/pytorch"
#: No sandbox, as containers have none to give; and nothing that would call anybody.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
LISTEN = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.effectiveDirective} ${event.blockedURI}`));
"""


def _missing() -> str | None:
    packages = ("playwright", "axe_playwright_python", "time_machine")
    if any(importlib.util.find_spec(name) is None for name in packages):
        return "pip install --editable .[browser], or make test-browser"
    return None if Path(CHROMIUM).exists() else "apt-get install chromium"


@pytest.fixture(scope="session", autouse=True)
def _browser_or_skip() -> None:
    if (remedy := _missing()) is None:
        return
    if os.environ.get("CI"):
        pytest.fail(f"no browser to test with: {remedy}")
    pytest.skip(f"no browser to test with: {remedy}")


@dataclasses.dataclass(frozen=True)
class Site:
    """A running example host."""

    url: str
    folder: Path

    @property
    def api(self) -> str:
        """Where the extension's routes begin."""
        return self.url + API


def _environment(folder: Path) -> dict[str, str]:
    return {
        **SETTINGS,
        "EXAMPLE_INSTANCE": str(folder),
        "PYTHONPATH": os.pathsep.join(map(str, (TESTS, REPOSITORY))),
        "PYTHONUNBUFFERED": "1",
        "ORT_DISABLE_TELEMETRY": "1",
    }


def _live(folder: Path, *arguments: str) -> None:
    """Write a history into *folder*."""
    run = [sys.executable, "-m", "browser.history", *arguments]
    made = subprocess.run(
        run, cwd=REPOSITORY, env=os.environ | _environment(folder), capture_output=True, text=True
    )
    assert made.returncode == 0, made.stdout + made.stderr


@contextlib.contextmanager
def _serve(folder: Path) -> t.Iterator[Site]:
    """Serve the example host in *folder* with gunicorn."""
    start = ["gunicorn", "--bind", "127.0.0.1:0", "--threads", "6", "browser.clinic:create_app()"]
    with servers.run(start, folder, _environment(folder), cwd=REPOSITORY) as server:
        yield Site(f"http://127.0.0.1:{server.port}", folder)


@pytest.fixture(scope="session")
def site(_browser_or_skip: None, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Site]:
    """The example host after four weeks of traffic (see ``history.py``)."""
    folder = tmp_path_factory.mktemp("clinic")
    # Whoever runs these tests often keeps a history; it is copied, so it stays as it is.
    kept = os.environ.get("AILYDIAN_BROWSER_HISTORY")
    if kept and not Path(kept).is_dir():
        _live(Path(kept))
    if kept:
        shutil.copytree(kept, folder, dirs_exist_ok=True)
    else:
        _live(folder)
    with _serve(folder) as site:
        yield site


@pytest.fixture(scope="session")
def new_site(_browser_or_skip: None, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Site]:
    """The example host on its first day: migrated, and nobody has asked anything."""
    folder = tmp_path_factory.mktemp("new-clinic")
    _live(folder, "--bare")
    with _serve(folder) as site:
        yield site


@pytest.fixture(scope="session")
def browser(_browser_or_skip: None) -> t.Iterator[Browser]:
    """Debian's Chromium, headless, with an empty profile."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield launched
        launched.close()


class Watch:
    """Notes everything that a page may not do, until the test is over.

    A test that provokes an error says so with :meth:`expect`.
    """

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self._expected: list[str] = []

    def expect(self, pattern: str) -> None:
        """Let errors pass that match a regular expression."""
        self._expected.append(pattern)

    def follow(self, context: BrowserContext, origin: str) -> None:
        """Note what happens in *context*; only *origin* may be asked for anything."""
        context.add_init_script(LISTEN)
        context.on("weberror", lambda error: self.wrong.append(f"uncaught: {error.error}"))
        context.on("console", self._console)
        context.on("request", lambda request: self._request(request.url, origin))

    def _console(self, message: t.Any) -> None:
        if message.type in ("error", "warning"):
            place = (message.location or {}).get("url", "")
            self.wrong.append(f"{message.type}: {message.text} [{place}]")

    def _request(self, url: str, origin: str) -> None:
        if not url.startswith((origin + "/", "data:", "blob:")) and url != "about:blank":
            self.wrong.append(f"left the origin: {url}")

    def check(self) -> None:
        """Fail if something went wrong that was not expected."""
        left = [w for w in self.wrong if not any(re.search(p, w) for p in self._expected)]
        assert not left, "\n".join(left)


@pytest.fixture
def watch() -> t.Iterator[Watch]:
    """What went wrong in the pages of this test; nothing may have, when it ends."""
    watch = Watch()
    yield watch
    watch.check()


class Visit(t.Protocol):
    """Opens a page of a site in a browser of its own; see :func:`visit`."""

    def __call__(
        self,
        path: str,
        *,
        who: str | None = "admin",
        at: Site | None = None,
        width: int = 1400,
        height: int = 1000,
        dark: bool = False,
        language: str = "en-US",
        **options: t.Any,
    ) -> Page: ...


@pytest.fixture(scope="session")
def _sessions() -> dict[tuple[str, str], t.Any]:
    return {}


@pytest.fixture
def visit(
    browser: Browser, site: Site, watch: Watch, _sessions: dict[tuple[str, str], t.Any]
) -> t.Iterator[Visit]:
    """Open a page: ``visit("/api/pytorch/dashboard", who="admin", width=400, dark=True)``.

    Everybody signs in through the real form, once a session; every page is watched.
    """
    opened: list[BrowserContext] = []

    def open_page(
        path: str,
        *,
        who: str | None = "admin",
        at: Site | None = None,
        width: int = 1400,
        height: int = 1000,
        dark: bool = False,
        language: str = "en-US",
        **options: t.Any,
    ) -> Page:
        where = at or site
        key = (where.url, who or "")
        if who and key not in _sessions:
            _sessions[key] = _sign_in(browser, where, who)
        options.setdefault("reduced_motion", "reduce")
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            locale=language,
            storage_state=_sessions.get(key) if who else None,
            **options,
        )
        opened.append(context)
        context.set_default_timeout(20_000)
        watch.follow(context, where.url)
        page = context.new_page()
        page.goto(where.url + path)
        return page

    yield open_page
    for context in opened:
        context.close()


def _sign_in(browser: Browser, site: Site, who: str) -> t.Any:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{site.url}/login")
    page.locator("input[name=name]").fill(who)
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("main button").click()
    page.wait_for_url("**/cases")
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture(scope="session")
def axe(_browser_or_skip: None) -> str:
    """The accessibility checker (axe-core), as a script."""
    spec = importlib.util.find_spec("axe_playwright_python")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).with_name("axe.min.js").read_text("utf-8")


@pytest.fixture
def assert_accessible(axe: str) -> t.Callable[..., None]:
    """Fail on any violation that axe-core finds in a page, or in a part of it."""

    def check(page: Page, part: str | None = None) -> None:
        page.evaluate(axe)
        found = page.evaluate(
            "async (part) => (await axe.run(part ?? document)).violations.map((v) =>"
            " `${v.id}: ${v.help}: ${v.nodes.map((n) => n.target + ' ' + n.html.slice(0, 160)"
            " + ' ' + n.failureSummary).join(' | ')}`)",
            part,
        )
        assert not found, "\n".join(found)

    return check


@pytest.fixture
def shot() -> t.Callable[..., None]:
    """Keep a picture of a page for the docs, when ``AILYDIAN_SCREENSHOTS`` names a folder."""
    folder = os.environ.get("AILYDIAN_SCREENSHOTS")

    def take(page: Page, name: str, **options: t.Any) -> None:
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=Path(folder, f"{name}.png"), **options)
            small = Image.open(Path(folder, f"{name}.png")).convert("RGB")
            small.quantize(192, dither=Image.Dither.NONE).save(
                Path(folder, f"{name}.png"), optimize=True
            )

    return take


def fits(page: Page) -> bool:
    """Whether a page needs no horizontal scrolling."""
    return bool(
        page.evaluate(
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        )
    )
