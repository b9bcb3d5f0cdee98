"""ailydian schema 6

Revision ID: e09552fbad6a
Revises: 14ca2fd23a1d
Create Date: 2026-11-25 04:02:05.968699
"""

from alembic import op

ailydian_schema = 6

revision = "e09552fbad6a"
down_revision = "14ca2fd23a1d"
branch_labels = None
depends_on = None


def upgrade():
    from flask_ailydian.tables import steps

    steps.run(op, 5, 6)


def downgrade():
    from flask_ailydian.tables import steps

    steps.run(op, 6, 5)
