"""Jobs: many inputs, answered by workers of Celery."""

from __future__ import annotations

import dataclasses
import typing as t

from .declaring import option
from .declaring import Table


@dataclasses.dataclass(frozen=True)
class JobSettings:
    """Jobs: many inputs, answered by workers of Celery."""

    jobs_broker: str = option(
        "",
        "URL of the broker that wakes the workers of jobs (`redis://…`, `amqp://…`); empty: jobs "
        "are refused, unless the host brings a Celery app of its own.",
        secret=True,
    )
    jobs_dir: str = option(
        "",
        "Folder where the inputs of jobs lie sealed until they are answered; all hosts must see "
        "it; empty: `ailydian/jobs` in the instance folder.",
    )
    jobs_storage: dict[str, t.Any] = option(
        Table(), "Folders that a job's manifest may name: name to path. They are only read."
    )
    jobs_max_items: int = option(
        10_000, "Most inputs that one job may have.", low=1, high=1_000_000
    )
    jobs_max_bytes: int = option(
        2 * 2**30, "Largest body of `POST /jobs`, in bytes.", low=1, high=2**40
    )
    jobs_max_waiting: int = option(
        100_000, "From so many waiting inputs on, further jobs are refused.", low=1, high=10**8
    )
    jobs_parallel: int = option(4, "How many workers are woken for one job.", low=1, high=1024)
    jobs_kept_days: float = option(
        7.0, "Days after which a finished job and its results are removed.", low=0.01, high=3660
    )
