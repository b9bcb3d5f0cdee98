"""the demo model's row

The model's file is placed by the app's own start-up (see example_app/demo.py) or by the online
upgrade below; the row is what registering the file gives.

Revision ID: 0003_demo
Revises: 58363018adb7
Create Date: 2026-11-24
"""

import json

import sqlalchemy as sa
from alembic import context
from alembic import op
from flask import current_app

from flask_ailydian import demo

revision = "0003_demo"
down_revision = "58363018adb7"
branch_labels = None
depends_on = None

JSON_COLUMNS = ("input_shape", "output_shape", "labels", "preprocessing", "report")
MOMENTS = ("created_at", "updated_at")

models = sa.table("pytorch_models", *map(sa.column, ("model_name", "model_version")))


def upgrade():
    row = demo.row()
    kinds: dict[str, sa.types.TypeEngine] = {"file_bytes": sa.BigInteger(), "accuracy": sa.Float()}
    kinds |= dict.fromkeys(MOMENTS, sa.DateTime())
    if context.is_offline_mode():
        # JSON cannot be written out as a literal; its text can.
        row |= {name: json.dumps(row[name], ensure_ascii=False) for name in JSON_COLUMNS}
    else:
        kinds |= dict.fromkeys(JSON_COLUMNS, sa.JSON())
    columns = [sa.column(name, kinds.get(name, sa.String())) for name in row]
    op.bulk_insert(sa.table("pytorch_models", *columns), [row])
    if not context.is_offline_mode():
        demo.place(current_app.extensions["ailydian"].registry.folder)


def downgrade():
    row = demo.row()
    named = sa.and_(
        models.c.model_name == row["model_name"],
        models.c.model_version == row["model_version"],
    )
    logs = sa.table("pytorch_inference_logs", sa.column("model_id"))
    keys = sa.table("pytorch_models", sa.column("id"), sa.column("model_name"))
    # Answers that it gave keep their rows, and lose only what they point at.
    mine = sa.select(keys.c.id).where(keys.c.model_name == row["model_name"])
    op.execute(logs.update().where(logs.c.model_id.in_(mine)).values(model_id=None))
    op.execute(models.delete().where(named))
