"""What determines the result of an attempt is called by its name; random numbers have long begun elsewhere

Revision: 0023, after 0022
"""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE attempt RENAME COLUMN seed TO combination")


def downgrade() -> None:
    op.execute("ALTER TABLE attempt RENAME COLUMN combination TO seed")
