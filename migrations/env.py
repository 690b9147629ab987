"""Alembic's entry: runs the revisions against the database of the configuration."""

from alembic import context
from sqlalchemy import create_engine, pool

from b2cal.model import Base

url = context.config.get_main_option("sqlalchemy.url")
assert url is not None, "b2cal.model.migrate() sets the URL; run `b2cal init`, not alembic itself"

with create_engine(url, poolclass=pool.NullPool).connect() as connection:
    context.configure(
        connection=connection, target_metadata=Base.metadata, render_as_batch=True, transaction_per_migration=True
    )
    with context.begin_transaction():
        context.run_migrations()
