"""mosec: a worker process a core, one thread a run."""

from __future__ import annotations

import os
import typing as t

from mosec import Server
from mosec import Worker
from mosec.errors import ValidationError

from bench import reference


class Inference(Worker):
    """Both halves of the work in one stage: nothing is copied between processes."""

    def __init__(self) -> None:
        super().__init__()
        self.session = reference.open_session(os.environ["BENCH_MODEL"], 1)

    def deserialize(self, data: bytes) -> t.Any:
        """Return the tensor."""
        try:
            return reference.prepare(data)
        except OSError as error:
            raise ValidationError("This is no JPEG.") from error

    def forward(self, tensor: t.Any) -> dict[str, t.Any]:
        """Return the answer."""
        return reference.answer(reference.run(self.session, tensor))


if __name__ == "__main__":
    server = Server()
    server.append_worker(Inference, num=os.cpu_count() or 1)
    server.run()
