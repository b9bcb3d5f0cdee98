"""Whether requests can be answered: the questions that readiness and the doctor share."""

from __future__ import annotations

import dataclasses
import importlib.util

import sqlalchemy as sa

from .database import Database
from .engine.executor import Executor
from .errors import AilydianError
from .recipes import WRITES
from .redis_link import RedisLink
from .registry import Registry
from .serving import Serving
from .tables import Tables
from .tables.steps import LATEST


@dataclasses.dataclass(frozen=True)
class Finding:
    """What one check found, and what to do when it is not well."""

    ok: bool
    detail: str
    remedy: str | None = None


def database(database: Database, tables: Tables) -> Finding:
    """Look whether the database answers and has the tables of this version."""
    try:
        with database.connect() as connection:
            names = [table.name for table in tables.all]
            found = sa.inspect(connection).get_multi_columns(filter_names=names)
    except (sa.exc.SQLAlchemyError, OSError) as error:
        return Finding(
            False,
            f"The database does not answer ({type(error).__name__}).",
            "Check SQLALCHEMY_DATABASE_URI and the database server.",
        )
    present = {name: {each["name"] for each in columns} for (_, name), columns in found.items()}
    for table in tables.all:
        if table.name not in present:
            return _behind(f"Table {table.name} is missing.")
        if missing := sorted(set(table.columns.keys()) - present[table.name]):
            return _behind(f"Table {table.name} lacks {', '.join(missing)}.")
    return Finding(True, f"The database answers; schema version {LATEST}.")


def _behind(what: str) -> Finding:
    return Finding(False, what, "Run: flask ailydian revision, then flask db upgrade")


def models(registry: Registry) -> Finding:
    """Look whether every model that would answer has its file, unchanged."""
    try:
        servable = registry.servable()
    except (sa.exc.SQLAlchemyError, OSError) as error:
        return Finding(False, f"The models cannot be read ({type(error).__name__}).")
    # Nothing to serve is not "all is well".
    if not servable:
        return Finding(
            False,
            "No model is active or testing.",
            "Run: flask ailydian models add FILE --name N --version V --activate",
        )
    for record in servable:
        if record.tokenizer and importlib.util.find_spec("tokenizers") is None:
            extra = "generation" if record.task == WRITES else "tokenizers"
            return Finding(
                False,
                f"{record.name} {record.version} needs a package that is not installed.",
                f'Run: pip install "flask-ailydian[{extra}]"',
            )
        if wrong := registry.verify(record):
            return Finding(False, wrong, "Restore the file, or activate another version.")
    names = ", ".join(f"{r.name} {r.version} ({r.status})" for r in servable[:5])
    return Finding(True, f"{len(servable)} loadable: {names}.")


def engine(serving: Serving, executor: Executor) -> Finding:
    """Look whether this machine has what the models are to run on."""
    wrong = serving.wrong_providers()
    if wrong:
        return Finding(False, wrong, "Set AILYDIAN_PROVIDERS to what this ONNX Runtime has.")
    return Finding(
        True,
        f"{executor.slots} runs at once, {executor.queue_size} may wait, "
        f"{serving.pool.budget >> 20} MiB for models.",
    )


def warm(serving: Serving) -> Finding:
    """Load and run every active model once, if that has not been done yet."""
    try:
        serving.warm()
    except AilydianError as error:
        return Finding(False, f"A model cannot be loaded: {error}")
    return Finding(True, f"{len(serving.pool.loaded())} loaded in this process.")


def redis(link: RedisLink, *, breakers_in_database: bool) -> Finding:
    """Look whether the shared Redis answers; without it all goes on, each worker for itself."""
    if link.answers():
        return Finding(True, "Redis answers: breakers and cached answers are shared.")
    where = "the database" if breakers_in_database else "each worker"
    return Finding(
        False,
        f"Redis does not answer: breakers are kept by {where}, cached answers by each worker.",
        "Check AILYDIAN_REDIS_URL and the Redis server.",
    )


def remotes(registry: Registry, serving: Serving) -> Finding:
    """Look which endpoints of remote models are down; all of one's, and it cannot answer."""
    lost, said = False, []
    for record in registry.servable():
        if record.type != "remote":
            continue
        try:
            down = serving.down(record)
        except AilydianError as error:
            down, lost = {}, True
            said.append(f"{record.name}: {error}")
        said += [f"{record.name}: {name} {what}" for name, what in down.items()]
        if down and len(down) == len(record.endpoints):
            lost = lost or record.fallback is None
    if not said:
        return Finding(True, "Every endpoint answers.")
    return Finding(
        not lost, "; ".join(said) + ".", "Start the server, or activate a local version."
    )
