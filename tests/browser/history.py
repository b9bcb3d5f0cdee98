"""Four weeks of real traffic for the example host: ``python -m browser.history [--bare]``.

Every row comes from a request that was really answered; only the clock is set back meanwhile.
"""

from __future__ import annotations

import contextlib
import io
import random
import sys
import tempfile
import typing as t
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from datetime import timedelta
from datetime import UTC
from pathlib import Path

import flask_migrate
import numpy as np
import time_machine
from browser.clinic import create_app
from browser.clinic import PASSWORD
from flask import current_app
from PIL import Image

from example_app import phantom
from example_app.commands import create_user
from flask_ailydian import current_ailydian
from flask_ailydian import demo
from flask_ailydian import optimization
from flask_ailydian import samples
from flask_ailydian.demo import help_desk
from flask_ailydian.errors import AilydianError
from flask_ailydian.experiments.plan import Plan
from flask_ailydian.registration import Declared

DAYS = 28
INT8 = f"{demo.VERSION}-int8"
ARMS = (f"{demo.NAME}:{demo.VERSION}", f"{demo.NAME}:{INT8}")

QUESTIONS = (
    ("chat", "Randevu almak istiyorum"),
    ("chat", "Çalışma saatleriniz nedir?"),
    ("chat", "Otopark var mı?"),
    ("chat", "I would like to cancel my appointment"),
    ("civic", "Which documents do I need for the report?"),
    ("legal", "Sözleşmedeki cezai şart maddesini Borçlar Kanunu açısından karşılaştır"),
    (
        "medical",
        "Hasta verilerini analiz ederek COVID-19, pnömoni ve normal akciğer dokusu "
        "arasındaki farkları karşılaştır",
    ),
)


def pictures(count: int) -> list[bytes]:
    """Return phantoms that differ a little, as JPEG files."""
    drawn = np.asarray(Image.open(io.BytesIO(phantom.draw(256))), dtype=np.float64)
    chance = np.random.default_rng(11)
    found = []
    for _ in range(count):
        pixels = drawn * chance.uniform(0.6, 1.25) + chance.normal(0, 6, drawn.shape)
        file = io.BytesIO()
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=85)
        found.append(file.getvalue())
    return found


def migrate() -> None:
    """Make the tables, the demo models and two people."""
    flask_migrate.upgrade()
    registry = current_ailydian.registry
    demo.place(registry.folder)
    declared = Declared(domain="chat")
    registry.register(help_desk.read(), help_desk.NAME, help_desk.VERSION, declared, activate=True)
    registry.update(demo.NAME, demo.VERSION, status="active")
    create_user("admin", PASSWORD, admin=True)
    create_user("ayşe", PASSWORD, admin=False)


def live(chance: random.Random) -> None:
    """Live through the four weeks, day by day, up to this minute."""
    state = current_ailydian
    present = datetime.now(UTC)
    seen = pictures(60)
    for back in range(DAYS, -1, -1):
        day = present - timedelta(days=back)
        opening = day.replace(hour=8, minute=0)
        busy = 0.45 if day.weekday() > 4 else 1.0
        with time_machine.travel(opening, tick=True) if back else contextlib.nullcontext():
            if back == DAYS - 5:
                optimise(seen)
            if back == 20:
                shadow()
            if back == 16:
                compare()
            predict(chance, seen, round(busy * chance.randint(65, 95)))
            ask(chance, round(busy * chance.randint(18, 30)))
            state.experiments.background.join()
    state.metrics.rollup.run(None, None, now=present.replace(tzinfo=None))


def optimise(seen: list[bytes]) -> None:
    """Add the int8 variant of the demo model, with its proof on phantoms."""
    registry = current_ailydian.registry
    record = registry.resolve(demo.NAME)
    with tempfile.TemporaryDirectory() as folder:
        for i, data in enumerate(seen):
            Path(folder, f"{i}.jpg").write_bytes(data)
        split = optimization.plan(record, samples.images(Path(folder), record.labels))
        optimization.optimise(
            registry, current_ailydian.settings, record, split, version=INT8, min_agreement=0.9
        )


def shadow() -> None:
    """Let the int8 variant answer in the shadow of the version it was made from."""
    current_ailydian.experiments.create(
        "int8-in-the-shadow", *ARMS, plan=Plan(mode="shadow", min_days=2.0), actor="1"
    )


def compare() -> None:
    """End the shadow test and split the traffic between the two."""
    experiments = current_ailydian.experiments
    experiments.stop("int8-in-the-shadow", actor="1")
    experiments.create(
        "int8-against-fp32", *ARMS, plan=Plan(max_days=90.0, min_units=2000), actor="1"
    )


def predict(chance: random.Random, seen: list[bytes], count: int) -> None:
    """Ask the demo model, say of some answers whether they were right."""

    def one(who: str, data: bytes, wrong: bool | None) -> None:
        found = current_ailydian.predict(demo.NAME, image=data, user_id=who)
        if wrong is not None:
            label = "Pneumonia" if wrong else found["prediction"]
            current_ailydian.feedback.give(found["id"], label=label, rating=None)

    together(
        one,
        [
            (
                f"patient-{chance.randint(1, 40)}",
                b"\xff\xd8no picture" if chance.random() < 0.03 else chance.choice(seen),
                chance.random() < 0.15 if chance.random() < 0.3 else None,
            )
            for _ in range(count)
        ],
    )


def ask(chance: random.Random, count: int) -> None:
    """Ask the router, rate some answers."""

    def one(domain: str, text: str, who: str, rating: int | None) -> None:
        found = current_ailydian.answer(text, domain=domain, user_id=who)
        if rating is not None:
            current_ailydian.feedback.give(found["id"], label=None, rating=rating)

    together(
        one,
        [
            (
                *chance.choice(QUESTIONS),
                f"citizen-{chance.randint(1, 30)}",
                chance.randint(3, 5) if chance.random() < 0.3 else None,
            )
            for _ in range(count)
        ],
    )


def together(one: t.Callable[..., None], jobs: list[tuple[t.Any, ...]]) -> None:
    """Do every job, several at a time as a server does; what is refused is on record as well."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]

    def run(job: tuple[t.Any, ...]) -> None:
        with app.app_context(), contextlib.suppress(AilydianError):
            one(*job)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, jobs))


def main(arguments: t.Sequence[str]) -> None:
    """Write the history into the folder that ``EXAMPLE_INSTANCE`` names."""
    app = create_app()
    opened = datetime.now(UTC) - timedelta(days=DAYS, hours=1)
    with app.app_context():
        with time_machine.travel(opened, tick=True):
            migrate()
        if "--bare" not in arguments:
            live(random.Random(5))
        app.extensions["ailydian"].audit.close()
        app.extensions["sqlalchemy"].engine.dispose()


if __name__ == "__main__":
    main(sys.argv[1:])
