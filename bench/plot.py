"""A small plot: requests per second and processor time of each server, with the floor as a line."""

from __future__ import annotations

from html import escape

from .figures import Figure

CLIENTS = (8, 32)
LEFT, WIDTH, BAR, GAP = 150, 360, 16, 8
COLOURS = ("#2b6cb0", "#90cdf4")
STYLE = (
    "text{font:12px sans-serif;fill:#222}.s{fill:#666}.t{font-weight:bold}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}.s{fill:#aaa}}"
)


def draw(found: dict[str, dict[str, Figure]]) -> str:
    """Return the plot as SVG."""
    servers = [name for name in found if name != "floor"]
    floor = found["floor"]
    settings = {key.rpartition(" ")[0] for key in floor if key.endswith(" rate")}
    best = max(settings, key=lambda name: floor[f"{name} rate"].median)
    panels = [
        _panel(found, servers, "rate", floor[f"{best} rate"].median, "Requests per second"),
        _panel(found, servers, "cpu", floor[f"{best} cpu_ms"].median, "CPU ms per request"),
    ]
    height = len(servers) * (len(CLIENTS) * BAR + GAP) + 60
    across = LEFT + WIDTH + 60
    body = "".join(
        f'<g transform="translate({i * across},0)">{panel}</g>' for i, panel in enumerate(panels)
    )
    size = f'viewBox="0 0 {2 * across} {height}" width="{2 * across}" height="{height}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
        f"<title>ResNet-50 on this machine, by server</title><style>{STYLE}</style>{body}</svg>\n"
    )


def _panel(
    found: dict[str, dict[str, Figure]], servers: list[str], what: str, floor: float, title: str
) -> str:
    values = {(n, c): found[n][f"{what} {c}"].median for n in servers for c in CLIENTS}
    scale = WIDTH / max(*values.values(), floor)
    parts = [f'<text class="t" x="{LEFT}" y="16">{title}</text>']
    y = 30
    for name in servers:
        parts.append(
            f'<text x="{LEFT - 8}" y="{y + BAR + 4}" text-anchor="end">{escape(name)}</text>'
        )
        for clients, colour in zip(CLIENTS, COLOURS, strict=True):
            value = values[name, clients]
            wide = value * scale
            parts.append(
                f'<rect x="{LEFT}" y="{y}" width="{wide:.1f}" height="{BAR - 2}" fill="{colour}"/>'
                f'<text class="s" x="{LEFT + wide + 5:.1f}" y="{y + 11}">'
                f"{value:.1f} (c={clients})</text>"
            )
            y += BAR
        y += GAP
    x = LEFT + floor * scale
    parts.append(
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="24" y2="{y}" stroke="#c53030"/>'
        f'<text class="s" x="{x:.1f}" y="{y + 14}" text-anchor="middle">floor {floor:.1f}</text>'
    )
    return "".join(parts)
