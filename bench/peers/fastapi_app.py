"""FastAPI and ONNX Runtime: one process, the work in a thread a core, one thread a run."""

from __future__ import annotations

import os
import typing as t

import anyio
from fastapi import FastAPI
from fastapi import Request

from bench import reference

app = FastAPI()
session = reference.open_session(os.environ["BENCH_MODEL"], 1)
limiter = anyio.CapacityLimiter(os.cpu_count() or 1)


def work(data: bytes) -> dict[str, t.Any]:
    """Return the answer to one photograph."""
    return reference.answer(reference.run(session, reference.prepare(data)))


@app.post("/predict")
async def predict(request: Request) -> dict[str, t.Any]:
    """Read the body, then work in a thread: the event loop stays free."""
    return await anyio.to_thread.run_sync(work, await request.body(), limiter=limiter)
