"""What Prometheus scrapes; needs the extra ``prometheus``.

With ``PROMETHEUS_MULTIPROC_DIR`` set before the start, the counts of all workers are scraped from
whichever of them answers; without it a scrape shows the one worker that it met.
"""

from __future__ import annotations

import collections.abc as c
import functools
import importlib
import importlib.util
import logging
import os
import typing as t

from .. import signals
from ..errors import NotFound

log = logging.getLogger("flask_ailydian.metrics")

NAMES = ("model", "version")
#: Of durations, in seconds: from a cached answer to a large model on a busy machine.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

#: Gauges read at each scrape: help, label names, and a function from which samples come.
Samples = c.Callable[[], c.Iterable[tuple[tuple[str, ...], float]]]


def installed() -> bool:
    """Whether the extra is there."""
    return importlib.util.find_spec("prometheus_client") is not None


@functools.cache
def _client() -> t.Any:
    return importlib.import_module("prometheus_client")


def multiprocess() -> bool:
    """Whether several workers share their counts."""
    return "PROMETHEUS_MULTIPROC_DIR" in os.environ


class _Counts:
    """The counters and histograms of one registry."""

    def __init__(self, registry: t.Any) -> None:
        client = _client()
        self.requests = client.Counter(
            "ailydian_inference_requests",
            "Requests by outcome: success, rejected (the request's fault) or failed (ours).",
            (*NAMES, "outcome"),
            registry=registry,
        )
        self.seconds = client.Histogram(
            "ailydian_inference_duration_seconds",
            "Time by stage: preprocessing, inference, total.",
            (*NAMES, "stage"),
            registry=registry,
            buckets=BUCKETS,
        )
        # What `labels` finds it looks for with care, each time anew.
        self.answered = functools.lru_cache(maxsize=1024)(self.requests.labels)
        self.took = functools.lru_cache(maxsize=1024)(self.seconds.labels)
        self.cost = client.Counter(
            "ailydian_cost_usd", "What answers cost.", NAMES, registry=registry
        )
        self.lost = client.Counter(
            "ailydian_audit_write_failures",
            "Answers that were not given because their record could not be written.",
            registry=registry,
        )


@functools.cache
def _shared_counts() -> _Counts:
    # The files of a process are keyed by metric and labels alone: two objects of one name in
    # one process would overwrite each other.
    return _Counts(None)


class Prometheus:
    """Counts what one app does, and renders it."""

    def __init__(self) -> None:
        self._gauges: dict[str, tuple[str, tuple[str, ...], Samples]] = {}
        #: Functions that say how much of a budget is used, by the budget's name; 1 is all.
        self.budgets: dict[str, c.Callable[[], float]] = {}
        self._registry: t.Any = None
        self._counts: _Counts | None = None
        if installed():
            self._counts = self._count()

    def _count(self) -> _Counts:
        if multiprocess():
            return _shared_counts()
        # One registry for each app: two apps in a process are two.
        self._registry = _client().CollectorRegistry()
        return _Counts(self._registry)

    def listen(self, app: t.Any) -> None:
        """Count what *app* does from now on."""
        if self._counts is not None:
            signals.inference_finished.connect(self._finished, sender=app)
            signals.audit_failed.connect(self._lost, sender=app)

    def gauge(self, name: str, help: str, labels: tuple[str, ...], samples: Samples) -> None:
        """Add a gauge that is read at each scrape."""
        self._gauges[name] = (help, labels, samples)

    def render(self) -> tuple[bytes, str]:
        """Return the text of a scrape and its media type.

        :raises NotFound: without the extra.
        """
        if self._counts is None:
            raise NotFound("Install flask-ailydian[prometheus] to have metrics here.")
        client = _client()
        registry = client.CollectorRegistry()
        if multiprocess():
            importlib.import_module("prometheus_client.multiprocess").MultiProcessCollector(
                registry
            )
        else:
            registry.register(_Collector(self._registry.collect))
        registry.register(_Collector(self._read_gauges))
        return client.generate_latest(registry), client.CONTENT_TYPE_LATEST

    def _read_gauges(self) -> t.Iterator[t.Any]:
        core = importlib.import_module("prometheus_client.core")
        for name, (help, labels, samples) in self._gauges.items():
            family = core.GaugeMetricFamily(name, help, labels=labels)
            try:
                for values, number in samples():
                    family.add_metric(values, number)
            except Exception as error:
                # A database that is away does not take the counters with it.
                log.warning("%s cannot be read: %s", name, type(error).__name__)
                continue
            yield family

    def _finished(
        self,
        sender: t.Any,
        *,
        record: dict[str, t.Any],
        model: t.Any,
        stages: dict[str, float],
        outcome: str,
    ) -> None:
        assert self._counts is not None
        # A name that is not registered is the client's text, and never becomes a label.
        names = ("", "") if model is None else (model.name, model.version)
        self._counts.answered(*names, outcome).inc()
        for stage, seconds in stages.items():
            self._counts.took(*names, stage).observe(seconds)
        if record["cost_usd"]:
            self._counts.cost.labels(*names).inc(float(record["cost_usd"]))

    def _lost(self, sender: t.Any, *, error: Exception) -> None:
        assert self._counts is not None
        self._counts.lost.inc()


class _Collector:
    def __init__(self, collect: c.Callable[[], c.Iterable[t.Any]]) -> None:
        self._collect = collect

    def collect(self) -> c.Iterable[t.Any]:
        """Return the families of a scrape."""
        return self._collect()
