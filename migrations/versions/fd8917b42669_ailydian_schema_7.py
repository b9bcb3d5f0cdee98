"""ailydian schema 7

Revision ID: fd8917b42669
Revises: e09552fbad6a
Create Date: 2026-11-25 04:14:20.148953
"""

from alembic import op

ailydian_schema = 7

revision = "fd8917b42669"
down_revision = "e09552fbad6a"
branch_labels = None
depends_on = None


def upgrade():
    from flask_ailydian.tables import steps

    steps.run(op, 6, 7)


def downgrade():
    from flask_ailydian.tables import steps

    steps.run(op, 7, 6)
