"""Imports point one way."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

import flask_ailydian

PACKAGE = Path(flask_ailydian.__file__).parent

# A room may import from rooms in lines above its own, and from itself.
ORDER = [
    {"errors", "settings", "clock", "sanitize", "signals", "version", "lifecycle", "tracing"}
    | {"redis_link", "breaker", "transactions"},
    {"access", "inputs", "tables"},
    {"oip"},
    {"engine"},
    {"connections"},
    {"database"},
    {"demo", "audit", "options", "folders", "fresh", "parallel", "samples", "reading"}
    | {"recipes", "unpacking"},
    {"registration", "records", "api_keys"},
    {"answering", "storage", "triton_export"},
    {"registry"},
    {"serving", "experiments", "metrics"},
    {"health", "prediction", "optimization", "generation"},
    {"visits", "answers"},
    {"inference"},
    {"routing", "jobs"},
    {"state", "trial"},
    {"checks"},
    {"deploying"},
    {"web", "planning"},
    {"cli"},
    {"extension"},
    {"__init__"},
    {"scratch"},
]
LEVEL = {room: level for level, rooms in enumerate(ORDER) for room in rooms}
MODULES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path, *, whole: bool = False) -> list[tuple[int, list[str]]]:
    """Return depth in functions and path inside the package of every import.

    *whole* adds what is imported to where it is imported from.
    """
    package = ("flask_ailydian", *path.relative_to(PACKAGE).parent.parts)
    found = []

    def visit(node: ast.AST, depth: int) -> None:
        for child in ast.iter_child_nodes(node):
            deeper = depth + isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            if isinstance(child, ast.ImportFrom) and child.level:
                base = [*package[: len(package) - child.level + 1]]
                base += child.module.split(".") if child.module else []
                for alias in child.names:
                    target = base[1:] if len(base) > 1 else [alias.name]
                    found.append((depth, [*base[1:], alias.name] if whole else target))
            visit(child, deeper)

    visit(ast.parse(path.read_text()), 0)
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_modules_import_only_from_lower_rooms(path: Path) -> None:
    own = room_of(path)
    for _, target in imports(path):
        other = target[0]
        assert other == own or LEVEL[other] < LEVEL[own], f"{own} imports {'.'.join(target)}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_import_hides_in_a_function(path: Path) -> None:
    hidden = [".".join(target) for depth, target in imports(path) if depth]
    assert hidden == []


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_modules_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300


def test_importing_the_package_starts_nothing_and_loads_no_runtime() -> None:
    code = (
        "import sys, threading, flask_ailydian\n"
        "heavy = {'onnxruntime', 'onnx', 'torch', 'pydicom'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert threading.active_count() == 1\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_no_two_modules_need_each_other() -> None:
    names = {module_name(path) for path in MODULES}
    graph = {}
    for path in MODULES:
        needed = set()
        for _, target in imports(path, whole=True):
            name = ".".join(target)
            needed.add(name if name in names else name.rpartition(".")[0])
        graph[module_name(path)] = {name for name in needed if name in names}
    # Raises CycleError, naming the modules, when there is a cycle.
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(names)
