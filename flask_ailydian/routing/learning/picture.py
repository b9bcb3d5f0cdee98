"""The cost-quality curve as an SVG picture, with nothing but text."""

from __future__ import annotations

import typing as t
from xml.sax.saxutils import escape

COLOURS = ("#0b6e4f", "#c0392b", "#2c5aa0", "#8e44ad", "#b9770e", "#555555")
WIDTH, HEIGHT, LEFT, BOTTOM = 640, 400, 60, 50


def svg(curves: t.Mapping[str, t.Sequence[t.Sequence[float]]]) -> str:
    """Return a picture of curves by name: pairs of the paid share and the quality."""
    values = [y for points in curves.values() for _, y in points]
    low, high = min(values), max(values)
    span = (high - low) or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        across = LEFT + x * (WIDTH - LEFT - 20)
        up = HEIGHT - BOTTOM - (y - low) / span * (HEIGHT - BOTTOM - 30)
        return round(across, 1), round(up, 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for step in range(6):
        x, y = place(step / 5, low)
        parts.append(f'<text x="{x}" y="{y + 18}" text-anchor="middle">{step * 20} %</text>')
        value = low + span * step / 5
        x, y = place(0, value)
        parts.append(f'<text x="{x - 8}" y="{y + 4}" text-anchor="end">{value:.3f}</text>')
        parts.append(f'<line x1="{x}" x2="{WIDTH - 20}" y1="{y}" y2="{y}" stroke="#dddddd"/>')
    middle = (LEFT + WIDTH - 20) / 2
    parts.append(
        f'<text x="{middle}" y="{HEIGHT - 10}" text-anchor="middle">share of paid calls</text>'
    )
    for number, (name, points) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        line = " ".join(f"{x},{y}" for x, y in (place(*point) for point in points))
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        top = 24 + 16 * number
        parts.append(f'<text x="{LEFT + 12}" y="{top}" fill="{colour}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>\n"])
