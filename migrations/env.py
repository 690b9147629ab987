"""Alembic's entry: runs the revisions against the database of the configuration."""

from alembic import context

from b2cal.model import Base
from b2cal.model.migrate import alone

url = context.config.get_main_option("sqlalchemy.url")
assert url is not None, "b2cal.model.migrate() sets the URL; run `b2cal init`, not alembic itself"

with alone(url) as connection:
    # On SQLite `alone` has begun the one transaction of all revisions; on MariaDB each statement is final by itself.
    context.configure(
        connection=connection, target_metadata=Base.metadata, render_as_batch=True, transaction_per_migration=True
    )
    with context.begin_transaction():
        context.run_migrations()
