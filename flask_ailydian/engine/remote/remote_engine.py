"""A model on another server as an engine: arrays go there, arrays come back."""

from __future__ import annotations

import collections.abc as c
import concurrent.futures
import math
import time
import typing as t

from ...clock import new_id
from ...errors import AilydianError
from ...errors import BackendUnavailable
from ...errors import ModelFailed
from ...errors import Timeout
from ...oip import messages
from ...oip.datatypes import datatype_of
from ...oip.datatypes import DATATYPES
from ..protocol import Array
from ..protocol import check
from .address import RemoteModel
from .balance import Backend
from .balance import Balancer
from .incoming import Answer
from .incoming import TooMuch
from .options import RemoteOptions
from .wire import Unreachable

#: Statuses that say that a server is not well, or does not know the model now.
UNWELL = frozenset({404, 408, 429, 502, 503, 504})
REFUSED = frozenset({401, 403})


class StrangeAnswer(ModelFailed):
    """An answer that the pinned model cannot have given."""


class RemoteEngine:
    """Calls another server by the Open Inference Protocol.

    An endpoint that cannot be reached is passed over for the next one, within the request's own
    deadline; what comes back must have the pinned signature, or it is no answer.
    """

    def __init__(self, source: bytes, options: RemoteOptions) -> None:
        self.model = RemoteModel.from_bytes(source)
        self.inputs = self.model.inputs
        self.outputs = self.model.outputs
        self._options = options
        self._names = [spec.name for spec in self.outputs]
        self._path = f"{self.model.path}/infer"
        self.balancer = Balancer(self.model.endpoints, options)

    def run(
        self,
        arrays: dict[str, Array],
        *,
        deadline: float | None,
        gone: c.Callable[[], bool] | None = None,
        alone: bool = False,
        exposed: bool = False,
    ) -> dict[str, Array]:
        """Have the model run.

        :raises ValidationFailed: when an array does not fit the model's inputs.
        :raises Timeout: when the deadline passes first.
        :raises ClientGone: when *gone* said so.
        :raises BackendUnavailable: when no endpoint answers.
        :raises ModelFailed: when one answers with an error, or something else than it should.
        """
        check(self.inputs, arrays)
        if deadline is None:
            deadline = time.monotonic() + self._options.hang_seconds
        text, behind = messages.write_request(
            new_id(), arrays, self._names, binary=self.model.binary
        )
        length = len(text) if behind else None
        failure: AilydianError | None = None
        blamed: list[Backend] = []
        for backend in self.balancer.candidates():
            try:
                answer = self._infer(backend, (text, *behind), length, deadline, gone)
                failure = self._failure(backend, answer, deadline)
            except Unreachable:
                failure = BackendUnavailable(f"{backend.name} cannot be reached.")
            if failure is None:
                outputs = self._outputs(backend, answer)
                self.balancer.succeeded(backend)
                # What fails on one server and not on another is the server's fault.
                for other in blamed:
                    self.balancer.failed(other)
                return outputs
            if isinstance(failure, ModelFailed):
                blamed.append(backend)
            else:
                self.balancer.failed(backend)
        # What fails on all of them is the input's: nobody must have them left alone by it.
        for backend in blamed:
            self.balancer.succeeded(backend)
        if failure is not None:
            raise failure
        names = ", ".join(backend.name for backend in self.balancer.backends)
        raise BackendUnavailable(
            f"{names} did not answer lately and is left alone for a moment.",
            retry_after=math.ceil(self._options.eject_seconds),
        )

    def _infer(
        self,
        backend: Backend,
        body: tuple[t.Any, ...],
        length: int | None,
        deadline: float,
        gone: c.Callable[[], bool] | None,
    ) -> Answer:
        started = time.monotonic()
        try:
            with self.balancer.calling(backend):
                return backend.wire.ask(
                    "POST",
                    self._path,
                    body,
                    length_header=messages.HEADER,
                    json_length=length,
                    deadline=deadline,
                    gone=gone,
                )
        except TooMuch as error:
            raise ModelFailed(f"{backend.name} answered more than is accepted.") from error
        except Timeout:
            # A caller without patience must not have an endpoint left alone.
            if time.monotonic() - started >= self._options.hang_seconds:
                self.balancer.failed(backend)
            raise

    def warm_up(self, arrays: dict[str, Array], *, deadline: float) -> None:
        """Do nothing: the server has warmed up its model or will with the first call."""

    def close(self) -> None:
        """Close the connections that are not in use."""
        self.balancer.close()

    def down(self, *, seconds: float) -> dict[str, str]:
        """Return what is wrong by endpoint, for those where the model is not ready.

        :param seconds: For each; they are asked at once.
        """
        backends = self.balancer.backends
        with concurrent.futures.ThreadPoolExecutor(len(backends), "ailydian-ready") as pool:
            said = list(pool.map(lambda backend: self._wrong(backend, seconds), backends))
        return {b.name: what for b, what in zip(backends, said, strict=True) if what is not None}

    def _wrong(self, backend: Backend, seconds: float) -> str | None:
        try:
            answer = self._ask(backend, f"{self.model.path}/ready", seconds)
        except (Unreachable, Timeout, TooMuch):
            return "cannot be reached"
        return None if answer.status == 200 else f"answers {answer.status}"

    def _ask(self, backend: Backend, path: str, seconds: float) -> Answer:
        return backend.wire.ask(
            "GET",
            path,
            length_header=messages.HEADER,
            deadline=time.monotonic() + seconds,
        )

    def _failure(self, backend: Backend, answer: Answer, deadline: float) -> AilydianError | None:
        """Return what a status means; the body of an error is the server's own affair."""
        status = answer.status
        if status == 200:
            return None
        if status in UNWELL or 300 <= status < 400:
            return BackendUnavailable(f"{backend.name} answers {status}.")
        if status in REFUSED:
            return BackendUnavailable(f"{backend.name} refuses our calls ({status}).")
        if status == 400 and not self._knows(backend, deadline):
            # Triton says so of a model that it does not have, or not any more.
            return BackendUnavailable(f"{backend.name} does not have the model ready.")
        return ModelFailed(f"The model failed on its server ({status}).")

    def _knows(self, backend: Backend, deadline: float) -> bool:
        left = min(self._options.connect_seconds, deadline - time.monotonic())
        try:
            return self._ask(backend, f"{self.model.path}/ready", left).status == 200
        except (Unreachable, TooMuch, Timeout):
            return False

    def _outputs(self, backend: Backend, answer: Answer) -> dict[str, Array]:
        """Return an answer's tensors; they must be what was pinned."""
        most = self._options.max_elements
        try:
            found = messages.read_answer(answer.head, answer.tail, max_elements=most)
        except AilydianError as error:
            raise _strange(backend) from error
        outputs = {}
        for spec in self.outputs:
            array = found.get(spec.name)
            wanted = DATATYPES.get(spec.dtype)
            if array is None or datatype_of(array) != wanted or len(array.shape) != len(spec.shape):
                raise _strange(backend)
            if any(
                isinstance(want, int) and want != have
                for want, have in zip(spec.shape, array.shape, strict=True)
            ):
                raise _strange(backend)
            outputs[spec.name] = array
        return outputs


def _strange(backend: Backend) -> StrangeAnswer:
    return StrangeAnswer(f"{backend.name} answered something else than the registered model gives.")
