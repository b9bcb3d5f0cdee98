"""Puts a router together from an app's parts."""

from __future__ import annotations

import random

from ..audit.fingerprint import Fingerprint
from ..audit.ledger import Ledger
from ..experiments.service import Experiments
from ..generation import Generation
from ..inference import Inference
from ..redis_link import RedisLink
from ..registry import Registry
from ..settings import Settings
from ..tables import Tables
from .backends.local import LocalBackend
from .backends.retries import Patience
from .breaker import Breaker
from .breaker import MemoryStore
from .breaker import Store
from .breaker import TableStore
from .breaker_redis import RedisStore
from .budget import Budgets
from .costs import Costs
from .learned import Learned
from .lessons import Lessons
from .money import PriceList
from .router import Router
from .scoring import Scoring
from .third_party import ThirdParty


def create_router(
    settings: Settings,
    tables: Tables,
    registry: Registry,
    inference: Inference,
    generation: Generation,
    ledger: Ledger,
    fingerprint: Fingerprint,
    experiments: Experiments,
    redis: RedisLink | None,
) -> Router:
    """Return the router of an app.

    :param redis: Where the breakers are shared, while it answers.
    :raises RuntimeError: naming the setting that is wrong.
    """
    try:
        prices = PriceList(settings.prices)
    except ValueError as error:
        raise RuntimeError(f"AILYDIAN_PRICES: {error}") from error
    try:
        scoring = Scoring(settings, Learned(registry, inference).score)
    except (ValueError, TypeError, AttributeError) as error:
        raise RuntimeError(f"AILYDIAN_ROUTER_LEXICON or _POINTS: {error}") from error
    store: Store = TableStore(ledger.database, tables) if settings.breaker_shared else MemoryStore()
    if redis is not None:
        store = RedisStore(redis, store)
    third_party = ThirdParty(
        settings,
        Costs(ledger.database, tables, prices, settings.third_party_model),
        Budgets(ledger.database, tables),
        Breaker(store, threshold=settings.breaker_failures, seconds=settings.breaker_seconds),
        fingerprint,
        ledger.note,
        Patience(settings.third_party_attempts, random.random),
    )
    local = LocalBackend(
        registry,
        inference,
        generation,
        named=settings.local_models,
        threshold=settings.router_min_confidence,
    )
    lessons = Lessons(ledger.database, tables, ledger.subjects, settings)
    return Router(settings, scoring, local, third_party, ledger, fingerprint, experiments, lessons)
