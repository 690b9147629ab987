"""Decisions on standing vetoes

Revision: 0014, after 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
FOREIGN_KEY = "fk_decision_standing_veto_id"
ABOUT_ONE = "ck_decision_about_one"


def upgrade() -> None:
    with op.batch_alter_table("decision") as decision:
        decision.drop_constraint(op.f(ABOUT_ONE), type_="check")
        decision.add_column(sa.Column("standing_veto_id", BIG, nullable=True))
        decision.create_foreign_key(op.f(FOREIGN_KEY), "standing_veto", ["standing_veto_id"], ["id"])
        decision.create_check_constraint(
            op.f(ABOUT_ONE), "(processing_id IS NOT NULL) + (tag_id IS NOT NULL) + (standing_veto_id IS NOT NULL) = 1"
        )


def downgrade() -> None:
    op.execute("DELETE FROM decision WHERE standing_veto_id IS NOT NULL")  # there was no place for them

    with op.batch_alter_table("decision") as decision:
        decision.drop_constraint(op.f(ABOUT_ONE), type_="check")
        decision.drop_constraint(op.f(FOREIGN_KEY), type_="foreignkey")
        decision.drop_column("standing_veto_id")
        decision.create_check_constraint(op.f(ABOUT_ONE), "(processing_id IS NULL) <> (tag_id IS NULL)")
