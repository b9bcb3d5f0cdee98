"""An open queue in front of several slots, played through in time.

Requests come at random (a Poisson process), wait in one line, and are answered by as many slots
as there are. How fast each goes depends on how many are answered at once, as measured: two runs
on two cores share caches and memory. One that begins while no other is answered may use every core
until it ends, and one that begins beside another stays on its own core when it is left alone.
"""

from __future__ import annotations

import collections
import collections.abc as c
import dataclasses
import math
import typing as t

import numpy as np

#: How many arrivals are played through, and how many of the first do not count.
ARRIVALS, WARM_UP = 20_000, 500
#: No machine is planned busier than this: near one, waits grow without bound.
BUSIEST = 0.9


@dataclasses.dataclass(frozen=True)
class Figures:
    """What was measured of one machine and one model.

    :param slots: Requests answered at once.
    :param seconds: By how many are answered at once: seconds from a request's start to its end.
    :param spread: Lengths of single requests as multiples of their mean.
    :param cpu_seconds: Processor seconds of a request when every slot is busy.
    :param lone_cpu_seconds: Processor seconds of a request that is alone.
    :param bytes_per_request: By how much the database grows.
    :param memory_bytes: Of the serving processes, with the model loaded.
    """

    model: str
    slots: int
    seconds: dict[int, float]
    spread: tuple[float, ...]
    cpu_seconds: float
    lone_cpu_seconds: float
    bytes_per_request: float
    memory_bytes: int

    @property
    def capacity(self) -> float:
        """Requests a second with every slot busy."""
        return self.slots / self.seconds[self.slots]

    def paces(self) -> list[Pace]:
        """Return how fast requests go by how many are answered at once, from none on."""
        known = sorted(self.seconds)
        lengths = np.interp(range(self.slots + 1), known, [self.seconds[count] for count in known])
        # One that is left by the others goes on as it began: on one core.
        lengths[1] = lengths[min(2, self.slots)]
        cores = self.cpu_seconds * self.capacity
        wide = self.lone_cpu_seconds / self.seconds[1]
        paces = []
        for count, length in enumerate(lengths):
            # Threads get equal parts of the cores, and who began alone has the most of them.
            part = min(1.0, cores / (wide + count - 1)) if count > 1 else 1.0
            paces.append(Pace(part / self.seconds[1], part / float(length), 1 / float(length)))
        return paces


class Pace(t.NamedTuple):
    """Speeds of requests, in 1/s: of one that began alone, of those beside it, and without one."""

    first: float
    beside: float
    others: float


@dataclasses.dataclass(frozen=True)
class Prediction:
    """How a load will fare, in seconds from a request's arrival to its answer."""

    rate: float
    busy: float
    p50: float
    p95: float
    p99: float


def predict(
    figures: Figures, rate: float, *, seed: int = 0, arrivals: c.Sequence[float] | None = None
) -> Prediction:
    """Return how *rate* requests a second fare on one machine.

    :param arrivals: Moments in seconds that are played through instead of random ones.
    """
    chance = np.random.default_rng(seed)
    if arrivals is None:
        arrivals = np.cumsum(chance.exponential(1.0 / rate, ARRIVALS)).tolist()
        warm_up = WARM_UP
    else:
        warm_up = 0
    work = chance.choice(figures.spread, len(arrivals)).tolist()
    times = _played(arrivals, work, figures.paces())[warm_up:]
    p50, p95, p99 = (float(np.percentile(times, q)) for q in (50, 95, 99))
    return Prediction(rate, rate / figures.capacity, p50, p95, p99)


def _played(
    arrivals: c.Sequence[float], work: c.Sequence[float], paces: c.Sequence[Pace]
) -> list[float]:
    """Return the seconds that each request takes, in the order of their ends."""
    slots = len(paces) - 1
    waiting: collections.deque[int] = collections.deque()
    left: dict[int, float] = {}
    # Which one began alone and is still answered.
    wide: int | None = None
    times: list[float] = []
    moment, coming = 0.0, 0
    while coming < len(arrivals) or left:
        arrival = arrivals[coming] if coming < len(arrivals) else math.inf
        pace = paces[len(left)]
        others = pace.others if wide is None else pace.beside
        until = {
            request: rest / (pace.first if request == wide else others)
            for request, rest in left.items()
        }
        first = min(until, key=until.__getitem__, default=-1)
        end = moment + until[first] if left else math.inf
        passed = min(arrival, end) - moment
        for request in left:
            left[request] -= passed * (pace.first if request == wide else others)
        moment += passed
        if end <= arrival:
            del left[first]
            wide = None if first == wide else wide
            times.append(moment - arrivals[first])
            if waiting:
                request = waiting.popleft()
                left[request] = work[request]
        elif len(left) < slots:
            wide = coming if not left else wide
            left[coming] = work[coming]
            coming += 1
        else:
            waiting.append(coming)
            coming += 1
    return times


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a load needs, when it is spread evenly over machines like the measured one."""

    rate: float
    p99_wanted: float
    machines: int
    cores: int
    predicted: Prediction
    cpu_cores_used: float
    rows_per_second: float
    bytes_per_day: float
    bytes_per_month: float
    memory_bytes: int
    database: t.Literal["sqlite", "postgresql"]

    def to_json(self) -> dict[str, t.Any]:
        """Return it as JSON can hold it."""
        return dataclasses.asdict(self)


def plan(figures: Figures, rate: float, p99: float) -> Plan | None:
    """Return the fewest machines that answer *rate* requests a second with that p99, in seconds.

    Each machine gets its share at random, as behind a plain balancer; one that sends requests
    to the least busy machine does better. ``None`` when even an idle machine is slower.
    """
    if predict(figures, figures.capacity * 0.01).p99 > p99:
        return None
    least = max(1, math.ceil(rate / (figures.capacity * BUSIEST)))
    good = least
    while predict(figures, rate / good).p99 > p99:
        good *= 2
    bad = good // 2 if good > least else least - 1
    while good - bad > 1:
        middle = (good + bad) // 2
        if predict(figures, rate / middle).p99 > p99:
            bad = middle
        else:
            good = middle
    grows = rate * figures.bytes_per_request
    return Plan(
        rate=rate,
        p99_wanted=p99,
        machines=good,
        cores=good * figures.slots,
        predicted=predict(figures, rate / good),
        cpu_cores_used=rate * figures.cpu_seconds,
        # The answer's row, and its event in the trail.
        rows_per_second=2 * rate,
        bytes_per_day=grows * 86_400,
        bytes_per_month=grows * 86_400 * 365.25 / 12,
        memory_bytes=figures.memory_bytes,
        database="sqlite" if good == 1 else "postgresql",
    )
