"""Bring the calibration database to the newest schema."""

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from b2cal import shipped

from .database import Database


def alembic_config(url: str) -> Config:
    """Alembic's configuration for one database, without an ini file."""
    config = Config()
    config.set_main_option("script_location", str(shipped("migrations")))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


def schema(database: Database) -> tuple[str | None, str | None]:
    """The revision that a database has, and the newest one."""
    with database.engine.connect() as connection:
        present = MigrationContext.configure(connection).get_current_revision()
    return present, ScriptDirectory.from_config(alembic_config(str(database.engine.url))).get_current_head()


def migrate(url: str, revision: str = "head") -> None:
    """Upgrade the schema of the database at `url`; nothing happens where it is there already."""
    command.upgrade(alembic_config(url), revision)
