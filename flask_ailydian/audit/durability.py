"""Does COMMIT mean on disk: what a server was told about that."""

from __future__ import annotations

import sqlalchemy as sa


class NotDurable(Exception):
    """The database acknowledges rows that a power cut may take back."""


def wrong(connection: sa.Connection) -> str | None:
    """Return what makes commits of this server unsafe in one sentence, or ``None``."""
    if connection.dialect.name != "postgresql":
        return None
    query = sa.text(
        "SELECT name FROM pg_settings WHERE name IN ('fsync', 'full_page_writes')"
        " AND setting = 'off' ORDER BY name"
    )
    off = list(connection.execute(query).scalars())
    return f"The server runs with {' and '.join(off)} off." if off else None
