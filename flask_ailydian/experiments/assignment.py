"""Who meets which arm: deterministic, replayable, sticky. GrowthBook's published algorithm.

Pure: the same unit, seed and weights give the same arm on every machine and in every process.
"""

from __future__ import annotations

import collections.abc as c

Range = tuple[float, float]


def growthbook_hash(seed: str, value: str, version: int) -> float | None:
    """Return where *value* stands in [0, 1), or ``None`` for an unknown version of the hash.

    Version 2 hashes twice: version 1 gives correlated places to tests with like seeds.
    """
    if version == 2:
        return _fnv1a(str(_fnv1a(seed + value))) % 10_000 / 10_000
    if version == 1:
        return _fnv1a(value + seed) % 1000 / 1000
    return None


def get_equal_weights(count: int) -> list[float]:
    """Return *count* equal weights; none for a count below 1."""
    return [1 / count] * count if count > 0 else []


def get_bucket_range(count: int, coverage: float, weights: c.Sequence[float] | None) -> list[Range]:
    """Return each arm's range in [0, 1).

    An arm's range begins where it begins at full coverage, so raising the coverage moves nobody
    who is in. Weights of another number, or that do not add up to 1, are taken as equal.
    """
    coverage = min(max(coverage, 0.0), 1.0)
    if weights is None or len(weights) != count or not 0.99 <= sum(weights) <= 1.01:
        weights = get_equal_weights(count)
    ranges, start = [], 0.0
    for weight in weights:
        ranges.append((start, start + coverage * weight))
        start += weight
    return ranges


def choose_variation(n: float, ranges: c.Sequence[c.Sequence[float]]) -> int:
    """Return the index of the range that holds *n*, or -1."""
    for index, (low, high) in enumerate(ranges):
        if low <= n < high:
            return index
    return -1


def in_namespace(unit: str, namespace: tuple[str, float, float] | c.Sequence[object]) -> bool:
    """Whether *unit* belongs to the part of a namespace; disjoint parts share nobody."""
    name, low, high = namespace
    place = growthbook_hash(f"__{name}", unit, 1)
    assert place is not None
    return float(low) <= place < float(high)  # type: ignore[arg-type]


def assign(unit: str, salt: str, weights: c.Sequence[float]) -> int:
    """Return the arm of *unit*, or -1 for who is left out.

    :param weights: Each arm's share of all traffic; what is missing to 1 meets no arm, and
        raising every share in proportion moves nobody who is in.
    :raises ValueError: for shares below 0, or of more than everybody together.
    """
    total = sum(weights)
    if any(weight < 0 for weight in weights) or total > 1 + 1e-9:
        raise ValueError("Shares are not negative and add up to 1 at most.")
    if total <= 0:
        return -1
    place = growthbook_hash(salt, str(unit), 2)
    assert place is not None
    shares = [weight / total for weight in weights]
    # The sum of shares may end a hair below 1; the last place in use is 0.9999.
    return choose_variation(place, get_bucket_range(len(shares), total, shares))


def _fnv1a(text: str) -> int:
    """FNV-1a of 32 bits over UTF-16 code units, which is what the reference hashes."""
    value = 0x811C9DC5
    units = text.encode("utf-16-le", "surrogatepass")
    for low, high in zip(units[::2], units[1::2], strict=True):
        value = (value ^ (low | high << 8)) * 0x01000193 & 0xFFFFFFFF
    return value
