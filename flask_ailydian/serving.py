"""Which engine serves a model: loaded once, swapped without a stop."""

from __future__ import annotations

import collections.abc as c
import contextlib
import threading
import time
import typing as t

from .engine import runtime
from .engine.expose import with_outputs
from .engine.files import sha256_of
from .engine.forks import restart_in_children
from .engine.graph_cache import GraphCache
from .engine.memory import give_back
from .engine.open import open_engine
from .engine.protocol import Engine
from .engine.remote.remote_engine import RemoteEngine
from .engine.sessions import SessionPool
from .engine.tokens import MOST
from .engine.tokens import Tokens
from .engine.tokens import Writer
from .errors import AilydianError
from .errors import ModelNotFound
from .records import ModelRecord
from .records import trial_arrays
from .registry import Registry
from .settings import Settings

Key = t.TypeVar("Key")
Kept = t.TypeVar("Kept")

#: Tokenisers that a process keeps, of each kind.
TOKENIZERS = 8
#: How long the version that answered before goes on while the new one is being loaded.
GRACE = 0.5
#: How long it is believed which endpoints are down.
DOWN_SECONDS = 1.0


class Serving:
    """Lends the engines of registered models, and loads what is going to be needed."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        pool: SessionPool,
        graphs: GraphCache,
        *,
        slots: int,
    ) -> None:
        self._settings = settings
        self._slots = slots
        self._registry = registry
        self.pool = pool
        self._graphs = graphs
        self.start_anew()
        restart_in_children(self)
        registry.on_change(self._changed)

    def start_anew(self) -> None:
        """Forget what is being loaded."""
        self._lock = threading.Lock()
        self._answering: dict[str, ModelRecord] = {}
        self._servable: c.Collection[str] | None = None
        self._loading: dict[str, float] = {}
        self._tokens: dict[tuple[str, int], Tokens] = {}
        self._writers: dict[str, Writer] = {}
        self._down: dict[str, tuple[float, dict[str, str]]] = {}

    def resolve(self, name: str, version: str | None) -> ModelRecord:
        """Return the version that answers.

        While a version that has just been activated is loaded, the one before goes on for a
        moment: nobody waits for the change.

        :raises ModelNotFound: when there is none.
        """
        record = self._registry.resolve(name, version)
        if version is not None:
            return record
        before = self._answering.get(name)
        if before is not None and before.sha256 != record.sha256:
            if self.pool.holds(before.sha256) and not self.pool.holds(record.sha256):
                with self._lock:
                    since = self._loading.get(record.sha256)
                    if since is None:
                        since = self._loading[record.sha256] = time.monotonic()
                        threading.Thread(
                            target=self._load_aside, args=(record,), daemon=True
                        ).start()
                if time.monotonic() - since < GRACE:
                    return before
        self._answering[name] = record
        if before is not None and before.sha256 != record.sha256:
            self._sweep()
        return record

    @contextlib.contextmanager
    def lease(self, model: ModelRecord, deadline: float) -> t.Iterator[Engine]:
        """Lend a model's engine for the length of the block; loads it when it is not at hand."""
        try:
            with self.pool.lease(
                model.sha256, self.cost(model), lambda: self._open(model), deadline=deadline
            ) as engine:
                yield engine
        finally:
            # Who had resolved the version before may have loaded it again.
            if self._servable is not None and model.sha256 not in self._servable:
                self._sweep()

    def cost(self, model: ModelRecord) -> int:
        """Return the bytes that a model may take: its own, and those of a text in each slot."""
        return model.memory_bytes + self._slots * model.text_bytes

    def read(self, model: ModelRecord) -> bytes:
        """Return the bytes of a model's file."""
        return self._registry.read(model)

    def tokens(self, model: ModelRecord) -> Tokens:
        """Return the tokeniser of a model that takes tokens."""
        most = (model.preprocessing or {}).get("max_tokens", MOST)
        key = (model.tokenizer or "", most)
        return _kept(self._tokens, key, lambda: Tokens(self._registry.read_tokenizer(model), most))

    def writer(self, model: ModelRecord) -> Writer:
        """Return the tokeniser of a model that writes."""
        key = model.tokenizer or ""
        return _kept(self._writers, key, lambda: Writer(self._registry.read_tokenizer(model)))

    def preload(self, model: ModelRecord) -> None:
        """Load a model and run it once on nothing, so that its first caller need not wait.

        :raises AilydianError: when it cannot be served.
        """
        deadline = time.monotonic() + self._settings.timeout_seconds
        self.pool.preload(
            model.sha256, self.cost(model), lambda: self._open(model), deadline=deadline
        )

    def warm(self) -> None:
        """Load every active model, as far as memory allows, before saying that all is ready."""
        left = self.pool.budget
        for record in self._registry.servable():
            if record.status == "active" and (cost := self.cost(record)) <= left:
                left -= cost
                if not self.pool.holds(record.sha256):
                    self.preload(record)

    def down(self, model: ModelRecord) -> dict[str, str]:
        """Return what is wrong with a remote model's endpoints, as of a moment ago."""
        checked, found = self._down.get(model.sha256, (-DOWN_SECONDS, {}))
        if time.monotonic() - checked >= DOWN_SECONDS:
            deadline = time.monotonic() + self._settings.timeout_seconds
            with self.lease(model, deadline) as engine:
                if isinstance(engine, RemoteEngine):
                    found = engine.down(seconds=self._settings.remote_connect_seconds)
            self._down[model.sha256] = time.monotonic(), found
        return found

    def endpoints(self) -> c.Iterator[tuple[ModelRecord, str, bool, int]]:
        """Yield the endpoints that this process has called: model, name, in use or not, calls.

        One that keeps failing is not in use; *calls* are those under way.
        """
        for first in self._registry.servable():
            for record in self._registry.answering(first.name):
                engine = self.pool.peek(record.sha256)
                if isinstance(engine, RemoteEngine):
                    for name, used, calls in engine.balancer.standing():
                        yield record, name, used, calls

    def wrong_providers(self) -> str | None:
        """Return what is wrong with the chosen execution providers, or ``None``."""
        return runtime.provider_state(self._settings.providers)

    def _load_aside(self, model: ModelRecord) -> None:
        try:
            self.preload(model)
        except AilydianError:
            # The next caller tries again, and is told why it cannot be loaded.
            pass
        finally:
            with self._lock:
                self._loading.pop(model.sha256, None)

    def _open(self, model: ModelRecord) -> Engine:
        data = self._registry.read(model)
        engine = open_engine(
            model.type,
            self._saved_graph(model, data) or data,
            threads=self._settings.threads,
            providers=self._settings.providers,
            remote=self._registry.storage.remote,
            **model.report.opening,
        )
        # Some models take no empty input; they are none the worse for it.
        with contextlib.suppress(AilydianError):
            arrays = trial_arrays(model)
            deadline = time.monotonic() + self._settings.timeout_seconds
            engine.warm_up(arrays, deadline=deadline)
        if len(data) > 2**22:
            del data
            give_back()
        return engine

    def _saved_graph(self, model: ModelRecord, data: bytes) -> str | None:
        if model.type != "onnx" or self._settings.providers != ("cpu",):
            return None
        exposed = model.report.exposed
        digest = sha256_of("\0".join((model.sha256, *exposed)).encode())
        return self._graphs.open(with_outputs(data, exposed), digest)

    def _changed(self, servable: c.Collection[str]) -> None:
        self._servable = servable
        for name, record in list(self._answering.items()):
            if record.sha256 not in servable:
                try:
                    self._registry.resolve(name)
                except ModelNotFound:
                    self._answering.pop(name, None)
        self._sweep()

    def _sweep(self) -> None:
        """Drop what may not answer any more, except what goes on while another is loaded."""
        if self._servable is not None:
            going_on = {record.sha256 for record in list(self._answering.values())}
            self.pool.keep_only(going_on.union(self._servable))


def _kept(known: dict[Key, Kept], key: Key, make: c.Callable[[], Kept]) -> Kept:
    """Return what is known under *key*, making it and forgetting the oldest if need be."""
    found = known.get(key)
    if found is None:
        found = make()
        while len(known) >= TOKENIZERS:
            known.pop(next(iter(known)), None)
        known[key] = found
    return found
