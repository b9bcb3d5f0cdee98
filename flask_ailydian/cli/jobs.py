"""``flask ailydian jobs``: hand in many files, watch them, answer them."""

from __future__ import annotations

import sys
import time
import typing as t
from pathlib import Path

import click

from ..jobs.items import Asked
from ..state import current_ailydian
from .group import ailydian
from .group import json_option
from .group import print_json
from .group import print_table
from .infer import asks_about_images
from .infer import images_of

#: Seconds between two looks at a job's progress.
LOOK = 0.5


@ailydian.group("jobs")
def jobs() -> None:
    """Jobs: many inputs, answered by workers."""


@jobs.command("submit")
@asks_about_images
@click.option("--wait", is_flag=True, help="Stay until it has ended, and show the progress.")
@json_option
def submit(
    model: str, paths: tuple[Path, ...], wait: bool, as_json: bool, **options: t.Any
) -> None:
    """Hand in images, files or folders, for MODEL."""
    files = images_of(paths)
    asked = Asked(
        model,
        model_version=options["version"],
        user_id=options["user_id"],
        top_k=options["top_k"],
    )
    with current_ailydian.jobs.draft(asked) as draft:
        with click.progressbar(files, label="Handing in", file=sys.stderr, hidden=as_json) as bar:
            for path in bar:
                most = current_ailydian.settings.max_image_bytes
                if path.stat().st_size > most:
                    draft.refuse("image_too_large")
                else:
                    draft.upload(path.read_bytes())
        state = draft.submit()
    if wait:
        state = _wait(state["id"], hidden=as_json)
    if as_json:
        print_json(state)
    else:
        click.echo(_line(state))
    if wait and (state["failed"] or state["status"] != "done"):
        raise SystemExit(1)


@jobs.command("show")
@click.argument("job_id")
@click.option("--results", is_flag=True, help="One line of JSON for each finished item.")
@click.option("--wait", is_flag=True, help="Stay until it has ended, and show the progress.")
@json_option
def show(job_id: str, results: bool, wait: bool, as_json: bool) -> None:
    """Say how a job stands."""
    service = current_ailydian.jobs
    state = _wait(job_id, hidden=as_json) if wait else service.state(job_id)
    if results:
        for line in service.results(job_id):
            print_json(line)
    elif as_json:
        print_json(state)
    else:
        click.echo(_line(state))


@jobs.command("list")
@json_option
def list_jobs(as_json: bool) -> None:
    """List the newest jobs."""
    found = current_ailydian.jobs.newest()
    if as_json:
        print_json(found)
        return
    columns = ("id", "model_name", "status", "done", "failed", "total", "created_at")
    print_table(columns, [[state[name] for name in columns] for state in found])


@jobs.command("cancel")
@click.argument("job_id")
def cancel(job_id: str) -> None:
    """Give up what nobody has begun."""
    click.echo(_line(current_ailydian.jobs.cancel(job_id, actor=None)))


@jobs.command("sweep")
def sweep() -> None:
    """Wake workers for jobs that were left lying, and remove what is old: run it from cron."""
    woken = current_ailydian.jobs.sweep()
    click.echo(f"{woken} jobs were woken.")


@jobs.command("work")
@click.option("--threads", type=click.IntRange(1, 256), help="By default one per slot.")
def work(threads: int | None) -> None:
    """Answer jobs until stopped: a Celery worker of this app."""
    count = threads or current_ailydian.prediction.executor.slots
    worker = current_ailydian.jobs.queue.celery().Worker(
        pool="threads", concurrency=count, queues=None, loglevel="WARNING", hostname=None
    )
    click.echo(f"Answering jobs with {count} threads; stop with Ctrl-C.", err=True)
    worker.start()
    raise SystemExit(worker.exitcode or 0)


def _wait(job_id: str, *, hidden: bool) -> dict[str, t.Any]:
    service = current_ailydian.jobs
    state = service.state(job_id)
    with click.progressbar(
        length=state["total"], label="Answered", file=sys.stderr, hidden=hidden
    ) as bar:
        seen = 0
        while True:
            ended = state["total"] - state["waiting"]
            bar.update(ended - seen)
            seen = ended
            if state["finished_at"] is not None:
                return state
            time.sleep(LOOK)
            state = service.state(job_id)


def _line(state: dict[str, t.Any]) -> str:
    return (
        f"{state['id']}  {state['status']}: {state['done']} answered, {state['failed']} failed, "
        f"{state['waiting']} waiting, of {state['total']}."
    )
