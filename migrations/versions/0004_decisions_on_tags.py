"""Decisions on global tags

Revision: 0004, after 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    with op.batch_alter_table("decision") as decision:
        decision.alter_column("processing_id", existing_type=BIG, nullable=True)
        decision.add_column(sa.Column("tag_id", BIG, nullable=True))
        decision.create_foreign_key(op.f("fk_decision_tag_id"), "global_tag", ["tag_id"], ["id"])
        decision.create_check_constraint(op.f("ck_decision_about_one"), "(processing_id IS NULL) <> (tag_id IS NULL)")


def downgrade() -> None:
    op.execute("DELETE FROM decision WHERE processing_id IS NULL")  # there was no place for them

    with op.batch_alter_table("decision") as decision:
        decision.drop_constraint(op.f("ck_decision_about_one"), type_="check")
        decision.drop_constraint(op.f("fk_decision_tag_id"), type_="foreignkey")
        decision.drop_column("tag_id")
        decision.alter_column("processing_id", existing_type=BIG, nullable=False)
