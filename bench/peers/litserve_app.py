"""LitServe: a worker process a core, one thread a run; the photograph comes as a form's file."""

# LitServe reads the annotations at run time, so they are no strings here.
import os
import sys
import typing as t

import litserve as ls
from fastapi import Request

from bench import reference


class Api(ls.LitAPI):
    """Decode in the worker, so that every core does both halves of the work."""

    def setup(self, device: str) -> None:
        """Load the model, in each worker."""
        self.session = reference.open_session(os.environ["BENCH_MODEL"], 1)

    def decode_request(self, request: Request) -> t.Any:
        """Return the tensor."""
        return reference.prepare(request["image"].file.read())

    def predict(self, tensor: t.Any) -> t.Any:
        """Return the probabilities."""
        return reference.run(self.session, tensor)

    def encode_response(self, output):
        """Return the answer."""
        return reference.answer(output)


if __name__ == "__main__":
    workers = os.cpu_count() or 1
    server = ls.LitServer(
        Api(), accelerator="cpu", workers_per_device=workers, fast_queue=True, timeout=120
    )
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        num_api_servers=1,
        log_level="warning",
        generate_client_file=False,
    )
