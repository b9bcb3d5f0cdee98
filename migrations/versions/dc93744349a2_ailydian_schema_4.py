"""ailydian schema 4

Revision ID: dc93744349a2
Revises: 0003_demo
Create Date: 2026-11-25 01:43:53.612638
"""

from alembic import op

ailydian_schema = 4

revision = "dc93744349a2"
down_revision = "0003_demo"
branch_labels = None
depends_on = None


def upgrade():
    from flask_ailydian.tables import steps

    steps.run(op, 1, 4)


def downgrade():
    from flask_ailydian.tables import steps

    steps.run(op, 4, 1)
