"""ailydian schema 8

Revision ID: 388b3c090405
Revises: fd8917b42669
Create Date: 2026-11-25 04:35:17.524488
"""

from alembic import op

ailydian_schema = 8

revision = "388b3c090405"
down_revision = "fd8917b42669"
branch_labels = None
depends_on = None


def upgrade():
    from flask_ailydian.tables import steps

    steps.run(op, 7, 8)


def downgrade():
    from flask_ailydian.tables import steps

    steps.run(op, 8, 7)
