"""ailydian schema 2

Revision ID: 0c7fbd95416b
Revises: 0003_demo
Create Date: 2026-11-25 01:05:50.807438
"""

from alembic import op

ailydian_schema = 2

revision = "0c7fbd95416b"
down_revision = "0003_demo"
branch_labels = None
depends_on = None


def upgrade():
    from flask_ailydian.tables import steps

    steps.run(op, 1, 2)


def downgrade():
    from flask_ailydian.tables import steps

    steps.run(op, 2, 1)
