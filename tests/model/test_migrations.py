"""The revisions make what the tables say, and can be taken back."""

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, inspect

from b2cal.core.clock import SystemClock
from b2cal.model import Base, Database, migrate
from b2cal.model.migrate import alembic_config


def differences(database: Database) -> list[object]:
    """Where the database is not what the tables of the code say."""
    with database.engine.connect() as connection:
        found: list[object] = compare_metadata(MigrationContext.configure(connection), Base.metadata)
        inspector = inspect(connection)
        present = {(t, check["name"]) for t in Base.metadata.tables for check in inspector.get_check_constraints(t)}
    wanted = {
        (table.name, str(constraint.name))
        for table in Base.metadata.sorted_tables
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint)
    }
    return [*found, *sorted(present ^ wanted)]


def test_all_revisions_forth_and_back_and_forth_give_the_tables_of_the_code(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'b2cal.db'}"
    database = Database(url, SystemClock())
    try:
        migrate(url)
        assert differences(database) == []
        command.downgrade(alembic_config(url), "base")
        assert inspect(database.engine).get_table_names() == ["alembic_version"]
        migrate(url)
        assert differences(database) == []
    finally:
        database.dispose()
