"""An ONNX model in ONNX Runtime: one session for many requests, one for a lone one."""

from __future__ import annotations

import collections.abc as c
import time
import typing as t

from ..errors import BackendUnavailable
from ..errors import ClientGone
from ..errors import ModelFailed
from ..errors import Timeout
from . import cores
from . import runtime
from .expose import with_outputs
from .protocol import Array
from .protocol import check
from .signature import TensorSpec
from .watchdog import shared as watchdog

#: Up to this size of a file, weights may be in memory twice.
SMALL_BYTES = 64 * 2**20
#: A run that takes longer on one thread always gains by more of them, and one that takes less
#: than the other never does: what it gains it pays for in waking threads.
LONG_SECONDS, SHORT_SECONDS = 0.03, 0.004
#: By which factor several threads must be quicker, or they stay out of it.
WORTH_IT = 1.25


class OnnxEngine:
    """Runs on one thread each while many ask, and on every core for a caller who is alone.

    A session's threads are fixed when it is made, and two threads for each of two runs at once
    cost a seventh of the throughput; so there are two sessions. They share the weights of a
    saved graph, which are mapped into memory once.

    :param source: A model's bytes, or the path of its saved graph (see :mod:`.graph_cache`).
    :param threads: For a caller who is alone; 0 for one per core.
    :param expose: The last outputs of the source, which a run returns only when asked to.
    :raises ModelFailed: when ONNX Runtime does not take the model.
    """

    def __init__(
        self,
        source: bytes | str,
        *,
        threads: int = 0,
        providers: t.Sequence[str] = ("cpu",),
        expose: t.Sequence[str] = (),
    ) -> None:
        self._runtime = runtime.load()
        threads = threads or cores.count()
        saved = isinstance(source, str)
        if isinstance(source, bytes):
            source = with_outputs(source, expose)
        shared = saved or len(source) <= SMALL_BYTES

        def session(threads: int) -> t.Any:
            try:
                return runtime.open_session(
                    source, threads=threads, optimise=not saved, providers=providers
                )
            except BackendUnavailable:
                raise
            # ONNX Runtime's exceptions have no common base, and their texts hold paths.
            except Exception as error:
                raise ModelFailed("The model could not be loaded.") from error

        self._narrow = session(1)
        # An accelerator has threads of its own.
        wide = threads > 1 and shared and tuple(providers) == ("cpu",)
        self._wide = session(threads) if wide else self._narrow
        self.inputs = tuple(map(TensorSpec.from_json, runtime.specs(self._narrow.get_inputs())))
        outputs = tuple(map(TensorSpec.from_json, runtime.specs(self._narrow.get_outputs())))
        self.outputs = outputs[: len(outputs) - len(expose)]
        self._names = [spec.name for spec in self.outputs]
        self._exposed = list(expose)

    def run(
        self,
        arrays: dict[str, Array],
        *,
        deadline: float | None,
        gone: c.Callable[[], bool] | None = None,
        alone: bool = False,
        exposed: bool = False,
    ) -> dict[str, Array]:
        """Run the model.

        :raises ValidationFailed: when an array does not fit the model's inputs.
        :raises Timeout: when the deadline passes first; the run is ended.
        :raises ClientGone: when *gone* said so; the run is ended.
        :raises ModelFailed: for everything that goes wrong in ONNX Runtime.
        """
        check(self.inputs, arrays)
        options = self._runtime.RunOptions()
        # A run that was ended is announced as an error, which is ours to tell.
        options.log_severity_level = 4
        ticket = None
        if deadline is not None:
            if deadline <= time.monotonic():
                raise Timeout()
            ticket = watchdog.watch(deadline, lambda: setattr(options, "terminate", True), gone)
        session = self._wide if alone else self._narrow
        names = self._names + self._exposed if exposed else self._names
        try:
            results = session.run(names, arrays, options)
        except Exception as error:
            if options.terminate:
                late = deadline is not None and time.monotonic() >= deadline
                raise (Timeout() if late else ClientGone()) from error
            raise ModelFailed() from error
        finally:
            if ticket is not None:
                watchdog.call_off(ticket)
        return dict(zip(names, results, strict=True))

    def warm_up(self, arrays: dict[str, Array], *, deadline: float) -> None:
        """Run on *arrays*, so that memory is laid out, and learn whether more threads help.

        The runs of a small model are shorter than the waking of threads: it does without.
        """
        for alone in (True, False):
            self.run(arrays, deadline=deadline, alone=alone)
        if self._wide is self._narrow or self._best_of(1, False, arrays, deadline) > LONG_SECONDS:
            return
        narrow, wide = (self._best_of(5, alone, arrays, deadline) for alone in (False, True))
        if narrow < SHORT_SECONDS or wide > narrow / WORTH_IT:
            self._wide = self._narrow

    def _best_of(self, count: int, alone: bool, arrays: dict[str, Array], deadline: float) -> float:
        times = []
        for _ in range(count):
            started = time.perf_counter()
            self.run(arrays, deadline=deadline, alone=alone)
            times.append(time.perf_counter() - started)
        return min(times)

    def close(self) -> None:
        """Drop the sessions; their memory goes back once no run holds them."""
        self._narrow = self._wide = None
