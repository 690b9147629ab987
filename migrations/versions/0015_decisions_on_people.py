"""Decisions on people

Revision: 0015, after 0014
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

NAME = sa.String(64).with_variant(mysql.VARCHAR(64, collation="utf8mb4_bin"), "mysql", "mariadb")
FOREIGN_KEY = "fk_decision_person"
ABOUT_ONE = "ck_decision_about_one"
ABOUT_THREE = "(processing_id IS NOT NULL) + (tag_id IS NOT NULL) + (standing_veto_id IS NOT NULL)"


def upgrade() -> None:
    with op.batch_alter_table("decision") as decision:
        decision.drop_constraint(op.f(ABOUT_ONE), type_="check")
        decision.add_column(sa.Column("person", NAME, nullable=True))
        decision.create_foreign_key(op.f(FOREIGN_KEY), "person", ["person"], ["username"])
        decision.create_check_constraint(op.f(ABOUT_ONE), f"{ABOUT_THREE} + (person IS NOT NULL) = 1")


def downgrade() -> None:
    op.execute("DELETE FROM decision WHERE person IS NOT NULL")  # there was no place for them

    with op.batch_alter_table("decision") as decision:
        decision.drop_constraint(op.f(ABOUT_ONE), type_="check")
        decision.drop_constraint(op.f(FOREIGN_KEY), type_="foreignkey")
        decision.drop_column("person")
        decision.create_check_constraint(op.f(ABOUT_ONE), f"{ABOUT_THREE} = 1")
