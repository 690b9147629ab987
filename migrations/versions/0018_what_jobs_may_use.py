"""What jobs may use, and what releases put into their environment

Revision: 0018, after 0017
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "job", sa.Column("disk_bytes", sa.BigInteger(), nullable=True, comment="the most that its folder took")
    )

    comment = "what it might have used: wall_s, cpu_s, memory_bytes, disk_bytes"
    op.add_column("job", sa.Column("limits", sa.JSON(), nullable=False, server_default="{}", comment=comment))

    comment = "what its jobs find in their environment, by name"
    op.add_column("release", sa.Column("environment", sa.JSON(), nullable=False, server_default="{}", comment=comment))


def downgrade() -> None:
    op.drop_column("release", "environment")

    op.drop_column("job", "limits")

    op.drop_column("job", "disk_bytes")
