"""Full barriers between the steps, where a processing asks for them

Revision: 0006, after 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    policy = sa.Enum("none", "steps", name="barrierpolicy", native_enum=False, create_constraint=True, length=24)
    with op.batch_alter_table("processing") as batch:  # SQLite adds a constraint only by copying the table
        batch.add_column(sa.Column("barrier_policy", policy, nullable=False, server_default="none"))


def downgrade() -> None:
    with op.batch_alter_table("processing") as batch:
        batch.drop_constraint(op.f("ck_processing_barrierpolicy"), type_="check")
        batch.drop_column("barrier_policy")
