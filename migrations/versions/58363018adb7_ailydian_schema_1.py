"""ailydian schema 1

Revision ID: 58363018adb7
Revises: 0001_own
Create Date: 2026-11-24 11:49:53.481972
"""

from alembic import op

ailydian_schema = 1

revision = "58363018adb7"
down_revision = "0001_own"
branch_labels = None
depends_on = None


def upgrade():
    from flask_ailydian.tables import steps

    steps.run(op, 0, 1)


def downgrade():
    from flask_ailydian.tables import steps

    steps.run(op, 1, 0)
