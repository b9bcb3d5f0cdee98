"""ailydian schema 5

Revision ID: 38507fa062a5
Revises: 0003_demo
Create Date: 2026-11-25 01:51:21.450739
"""

from alembic import op

ailydian_schema = 5

revision = "38507fa062a5"
down_revision = "0003_demo"
branch_labels = None
depends_on = None


def upgrade():
    from flask_ailydian.tables import steps

    steps.run(op, 1, 5)


def downgrade():
    from flask_ailydian.tables import steps

    steps.run(op, 5, 1)
