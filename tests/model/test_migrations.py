"""The revisions make what the tables say, and can be taken back."""

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect

from b2cal.core.clock import SystemClock
from b2cal.model import Base, Database, migrate
from b2cal.model.migrate import alembic_config


def test_all_revisions_forth_and_back_and_forth_give_the_tables_of_the_code(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'b2cal.db'}"
    database = Database(url, SystemClock())
    try:
        migrate(url)
        with database.engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
        command.downgrade(alembic_config(url), "base")
        assert inspect(database.engine).get_table_names() == ["alembic_version"]
        migrate(url)
        with database.engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    finally:
        database.dispose()
