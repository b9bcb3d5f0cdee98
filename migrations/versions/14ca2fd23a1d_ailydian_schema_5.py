"""ailydian schema 5

Revision ID: 14ca2fd23a1d
Revises: 0003_demo
Create Date: 2026-11-25 02:14:07.173639
"""

from alembic import op

ailydian_schema = 5

revision = "14ca2fd23a1d"
down_revision = "0003_demo"
branch_labels = None
depends_on = None


def upgrade():
    from flask_ailydian.tables import steps

    steps.run(op, 1, 5)


def downgrade():
    from flask_ailydian.tables import steps

    steps.run(op, 5, 1)
