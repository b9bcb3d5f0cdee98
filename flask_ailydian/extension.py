"""Wires the rooms on one app."""

from __future__ import annotations

import typing as t
from pathlib import Path

from flask import Flask

from .access import Gate
from .access import KeyedGate
from .api_keys import ApiKeys
from .audit.fingerprint import Fingerprint
from .audit.keys import KeyProvider
from .audit.keys import open_sealed
from .audit.keys import seal
from .audit.setup import create_ledger
from .audit.setup import create_privacy
from .cli import ailydian as commands
from .clock import now
from .database import Database
from .engine import cores
from .engine.executor import Executor
from .engine.graph_cache import GraphCache
from .engine.results import ResultCache
from .engine.sessions import SessionPool
from .engine.shared_results import SharedResults
from .experiments.feedback import Feedback
from .experiments.service import Experiments
from .generation import Generation
from .inference import Inference
from .jobs.queue import Queue
from .jobs.service import Jobs
from .jobs.store import Store as JobStore
from .lifecycle import Lifecycle
from .metrics import gauges
from .metrics.prometheus import Prometheus
from .metrics.service import Metrics
from .prediction import Prediction
from .redis_link import RedisLink
from .registry import Registry
from .routing.wiring import create_router
from .serving import Serving
from .settings import Settings
from .state import State
from .tables import bind_tables
from .tables import Tables
from .visits import Visits
from .web.bearer import Bearer
from .web.blueprint import create_blueprint


class FlaskAilydian:
    """Adds accountable inference to an app: routes, tables, commands.

    :param app: Call :meth:`init_app` on this application now.
    :param db: The host's ``SQLAlchemy`` instance; by default the one registered on the app.
    :param keys: Where master keys come from, for a key management service; by default the
        settings or a file.
    """

    def __init__(
        self, app: Flask | None = None, db: t.Any = None, *, keys: KeyProvider | None = None
    ) -> None:
        self._db = db
        self._keys = keys
        self.gate = Gate()
        """Who calls, and may they: decorate with ``gate.actor`` and ``gate.may``."""
        self.blueprint = create_blueprint()
        """The routes. Decorate it (CORS, limits, login) before ``init_app``."""
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Register the extension on *app*; call it after ``db.init_app(app)``.

        :raises RuntimeError: without SQLAlchemy, on a second registration, and for a setting
            that is unknown or out of range; the message names the remedy.
        """
        if "ailydian" in app.extensions:
            raise RuntimeError("FlaskAilydian is already registered on this app; do it once.")
        db = self._db or app.extensions.get("sqlalchemy")
        if "sqlalchemy" not in app.extensions or not hasattr(db, "Model"):
            raise RuntimeError(
                "Call SQLAlchemy(app) of Flask-SQLAlchemy before FlaskAilydian(app)."
            )
        settings = Settings.from_config(app.config)
        app.extensions["ailydian"] = _state(app, db, settings, self.gate, self._keys)
        app.register_blueprint(self.blueprint, url_prefix=settings.url_prefix)
        app.cli.add_command(commands)


def _state(
    app: Flask, db: t.Any, settings: Settings, gate: Gate, keys: KeyProvider | None
) -> State:
    tables = bind_tables(db)
    own = Path(app.instance_path) / "ailydian"
    folder = Path(app.root_path, settings.model_dir) if settings.model_dir else own / "models"
    fingerprint = Fingerprint(settings.hash_key, own)
    ledger = create_ledger(db, tables, settings, own, fingerprint, keys)
    registry = Registry(tables, settings, folder, ledger)
    lifecycle = Lifecycle()
    lifecycle.at_drain.append(ledger.drain)
    graphs = GraphCache(own / "graphs", lambda: fingerprint.derive("optimised graphs"))
    pool = SessionPool(budget=settings.model_memory_bytes)
    slots = settings.slots or cores.count()
    executor = Executor(slots, settings.queue_size)
    serving = Serving(settings, registry, pool, graphs, slots=slots)
    registry.before_activation(serving.preload)
    redis = None
    if settings.redis_url:
        redis = RedisLink(settings.redis_url, lambda: fingerprint.key_id)
    results = ResultCache(settings.cache_bytes, shared=_shared(redis, fingerprint))
    prediction = Prediction(settings, serving, executor, results)
    experiments = Experiments(
        ledger.database,
        tables,
        registry,
        fingerprint,
        queue=settings.shadow_queue,
        shadow_daily_usd=settings.shadow_daily_usd,
        event=ledger.note,
    )
    metrics = _metrics(app, ledger.database, tables, settings, registry)
    metrics.prometheus.budgets["shadow"] = experiments.shadow_budget_used
    gauges.register_endpoints(metrics.prometheus, serving.endpoints)
    feedback = Feedback(ledger.database, tables, ledger.result)
    privacy = create_privacy(ledger, tables)
    privacy.exporters |= {"ab_tests": experiments.export, "feedback": feedback.export}
    privacy.erasers["ab_tests"] = experiments.erase
    visits = Visits(settings, serving, experiments, prediction)
    inference = Inference(settings, visits, prediction, ledger, fingerprint)
    router = create_router(
        settings,
        tables,
        registry,
        inference,
        Generation(settings, serving, executor),
        ledger,
        fingerprint,
        experiments,
        redis,
    )
    jobs = Jobs(
        settings,
        JobStore(ledger.database, tables),
        registry,
        inference,
        ledger,
        fingerprint,
        Path(app.root_path, settings.jobs_dir) if settings.jobs_dir else own / "jobs",
        Queue(settings.jobs_broker),
    )
    privacy.exporters["jobs"] = jobs.export
    privacy.erasers["jobs"] = jobs.erase
    privacy.exporters["router_lessons"] = router.lessons.export
    privacy.erasers["router_lessons"] = router.lessons.erase
    privacy.pruners.append(router.lessons.prune)
    privacy.erasers["paid_answers"] = router.third_party.erase
    if settings.budget_day:
        budgets = router.third_party.budgets
        metrics.prometheus.budgets["day"] = lambda: budgets.day_used(settings.budget_day, now())
    api_keys = ApiKeys(tables.ApiKey.__table__, ledger)
    if settings.api_keys:
        gate = KeyedGate(gate, Bearer(api_keys, gate))
    return State(
        settings=settings,
        db=db,
        tables=tables,
        gate=gate,
        api_keys=api_keys,
        registry=registry,
        serving=serving,
        prediction=prediction,
        inference=inference,
        audit=ledger,
        fingerprint=fingerprint,
        lifecycle=lifecycle,
        privacy=privacy,
        experiments=experiments,
        feedback=feedback,
        metrics=metrics,
        router=router,
        costs=router.third_party.costs,
        jobs=jobs,
        redis=redis,
    )


def _shared(redis: RedisLink | None, fingerprint: Fingerprint) -> SharedResults | None:
    if redis is None:
        return None
    return SharedResults(redis, lambda: fingerprint.derive("shared results"), seal, open_sealed)


def _metrics(
    app: Flask, database: Database, tables: Tables, settings: Settings, registry: Registry
) -> Metrics:
    prometheus = Prometheus()
    prometheus.listen(app)
    metrics = Metrics(database, tables, settings, prometheus)
    gauges.register(prometheus, metrics, registry, database, tables)
    return metrics
