"""ailydian schema 2

Revision ID: d1853efea33b
Revises: 0003_demo
Create Date: 2026-11-25 00:59:18.479028
"""

from alembic import op

ailydian_schema = 2

revision = "d1853efea33b"
down_revision = "0003_demo"
branch_labels = None
depends_on = None


def upgrade():
    from flask_ailydian.tables import steps

    steps.run(op, 1, 2)


def downgrade():
    from flask_ailydian.tables import steps

    steps.run(op, 2, 1)
