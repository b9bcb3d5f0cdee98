"""ailydian schema 3

Revision ID: 6ee586476a9c
Revises: 0003_demo
Create Date: 2026-11-25 01:40:54.741801
"""

from alembic import op

ailydian_schema = 3

revision = "6ee586476a9c"
down_revision = "0003_demo"
branch_labels = None
depends_on = None


def upgrade():
    from flask_ailydian.tables import steps

    steps.run(op, 1, 3)


def downgrade():
    from flask_ailydian.tables import steps

    steps.run(op, 3, 1)
