"""Nobody is the deputy of herself

Revision: 0013, after 0012
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

NAME = "ck_calibration_deputy_is_another"


def upgrade() -> None:
    op.execute("UPDATE calibration SET deputy = NULL WHERE deputy = expert")
    with op.batch_alter_table("calibration") as calibration:
        calibration.create_check_constraint(op.f(NAME), "deputy is null or deputy <> expert")


def downgrade() -> None:
    with op.batch_alter_table("calibration") as calibration:
        calibration.drop_constraint(op.f(NAME), type_="check")
