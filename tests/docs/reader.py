"""A reader who does what a page says, in a folder and on a server of their own."""

from __future__ import annotations

import contextlib
import doctest
import logging
import os
import re
import runpy
import shlex
import subprocess
import sys
import threading
import typing as t
from pathlib import Path

from flask import Flask
from pages import Block
from pages import Page
from werkzeug.serving import make_server

from flask_ailydian.settings import Settings

#: Where the pages say that the app listens.
SHOWN = "http://127.0.0.1:5000"
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MAKEFILE = Path(__file__).parents[2] / "Makefile"
#: Commands that fetch something, or belong to the reader's machine.
ELSEWHERE = ("pip ", "gunicorn ", "make ")
WHY_NOT = {
    *("needs-a-key", "needs-a-cluster", "needs-torch", "needs-gunicorn", "needs-a-broker"),
    "needs-postgresql",
}


class Reader:
    """One reader: their folder, app, server, and the ids that they were given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.app: Flask | None = None
        self.base = SHOWN
        #: An id as a page shows it → the one that the server really gave.
        self.ids: dict[str, str] = {}
        self.ran = 0

    def follow(self, page: Page) -> None:
        """Do everything that a page says, in order."""
        names: dict[str, t.Any] = {"app": self.app, "__name__": "shown"}
        said: str | None = None
        for block in page.blocks:
            kind, *words = block.info.split()
            marks = dict(word.split("=", 1) for word in words)
            where = f"{page.path.name}:{block.line}"
            if "skip" in marks:
                assert marks["skip"] in WHY_NOT, where
                said = None
            elif kind in ("console", "bash"):
                said = self.type(block, where)
            elif kind in ("json", "text") and said is not None:
                self.compare(block.text, said, where)
                said = None
            elif "file" in marks:
                self.save(marks["file"], block.text)
            elif kind == "python":
                self.execute(block, names, where)
            elif kind == "pycon":
                self.converse(block, names, where)

    def save(self, name: str, text: str) -> None:
        """Write a file that a page shows; `app.py` becomes the app."""
        path = self.folder / name
        path.write_text(text + "\n", encoding="utf-8")
        if name == "app.py":
            with contextlib.chdir(self.folder):
                self.app = runpy.run_path(name)["app"]

    def execute(self, block: Block, names: dict[str, t.Any], where: str) -> None:
        """Run a block of Python; settings in it must be ones that the app would take."""
        assert self.app is not None
        before = set(names)
        with self.app.app_context():
            exec(compile(block.text, where, "exec"), names)
        made = {key: names.pop(key) for key in set(names) - before if key.startswith("AILYDIAN_")}
        Settings.from_config(made)
        self.ran += 1

    def converse(self, block: Block, names: dict[str, t.Any], where: str) -> None:
        """Run a session of `flask shell`, and compare what it shows."""
        assert self.app is not None
        text = UUID.sub(lambda found: self.ids.get(found[0], found[0]), block.text)
        test = doctest.DocTestParser().get_doctest(text + "\n", names, where, where, block.line)
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        said: list[str] = []
        with self.app.app_context(), contextlib.chdir(self.folder):
            doctest.DocTestRunner(optionflags=flags).run(test, out=said.append, clear_globs=False)
        assert not said, "".join(said)
        names.update(test.globs)
        self.ran += 1

    def type(self, block: Block, where: str) -> str:
        """Run the commands of a block; return what the last one printed."""
        said = ""
        for command, shown in commands(block.text):
            said = self.run(command, where)
            if shown:
                self.compare(shown, said, where)
        return said

    def run(self, command: str, where: str) -> str:
        """Run one command; return what it printed."""
        command = UUID.sub(lambda found: self.ids.get(found[0], found[0]), command)
        command = command.replace(SHOWN, self.base)
        if command.startswith("make "):
            target = command.split()[1]
            assert re.search(rf"(?m)^{re.escape(target)}:", MAKEFILE.read_text()), where
        if command.startswith(ELSEWHERE) or command.startswith("flask run"):
            return ""
        self.ran += 1
        fails = "# exit 1" in command
        if command.startswith("flask "):
            status, said = self.flask(command)
        else:
            status, said = self.shell(command)
        assert (status == 1) if fails else (status == 0), f"{where}: {command}\n{said}"
        return said

    def flask(self, command: str) -> tuple[int, str]:
        """Run a command of the app, in this process."""
        assert self.app is not None
        words = shlex.split(command, comments=True)[1:]
        target = None
        for sign, mode in ((">", "w"), (">>", "a")):
            if sign in words:
                at = words.index(sign)
                target = (self.folder / words[at + 1], mode)
                words = words[:at]
        with contextlib.chdir(self.folder):
            result = self.app.test_cli_runner().invoke(args=words)
        # `flask db` configures logging as its alembic.ini says, which silences everybody else.
        for name, logger in logging.root.manager.loggerDict.items():
            if name.startswith("flask_ailydian") and isinstance(logger, logging.Logger):
                logger.disabled = False
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        if target and result.exit_code == 0:
            with target[0].open(target[1], encoding="utf-8") as file:
                file.write(result.stdout)
            return 0, ""
        return result.exit_code, result.output if result.exit_code else result.stdout

    def shell(self, command: str) -> tuple[int, str]:
        """Run any other command, in a shell."""
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        run = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", command],
            cwd=self.folder,
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
            timeout=60,
        )
        return run.returncode, run.stdout or run.stderr

    def compare(self, shown: str, said: str, where: str) -> None:
        """Hold that a command printed what the page shows; `…` stands for anything."""
        parts, new = [], []
        for piece in re.split(f"(…|{UUID.pattern})", re.sub(r"\s+", "", shown)):
            if piece == "…":
                parts.append(".*")
            elif not UUID.fullmatch(piece):
                parts.append(re.escape(piece))
            elif piece in self.ids:
                parts.append(re.escape(self.ids[piece]))
            elif piece in new:
                parts.append(f"(?P=id{new.index(piece)})")
            else:
                parts.append(f"(?P<id{len(new)}>{UUID.pattern})")
                new.append(piece)
        found = re.fullmatch("".join(parts), re.sub(r"\s+", "", said), re.DOTALL)
        assert found, f"{where}: the page shows\n{shown}\nand this came:\n{said}"
        self.ids |= {piece: found[f"id{i}"] for i, piece in enumerate(new)}

    @contextlib.contextmanager
    def serving(self) -> t.Iterator[None]:
        """Serve the app on loopback for the length of the block."""

        def answer(environ: t.Any, start_response: t.Any) -> t.Any:
            assert self.app is not None
            return self.app(environ, start_response)

        server = make_server("127.0.0.1", 0, answer, threaded=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.base = f"http://127.0.0.1:{server.server_port}"
        try:
            yield
        finally:
            server.shutdown()
            thread.join(60)
            server.server_close()


def commands(text: str) -> t.Iterator[tuple[str, str]]:
    """Yield each command of a block and what is shown below it."""
    command, shown = "", ""
    for line in text.splitlines():
        if line.startswith("$ "):
            if command:
                yield command, shown
            command, shown = line[2:], ""
        elif command.endswith("\\"):
            command = command[:-1] + line
        else:
            shown += line + "\n"
    if command:
        yield command, shown
