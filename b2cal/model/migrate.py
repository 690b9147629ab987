"""Bring the calibration database to the newest schema."""

from typing import TYPE_CHECKING

from b2cal import shipped
from b2cal.core.errors import B2calError

from .database import Database, check_url

# Alembic is imported where it is needed: at the top it would cost every process of b2cal 0.1 s at its start.
if TYPE_CHECKING:
    from alembic.config import Config


class NewerSchema(B2calError):
    """The database has a revision that this b2cal does not know."""


def alembic_config(url: str) -> "Config":
    """Alembic's configuration for one database, without an ini file."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(shipped("migrations")))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


def schema(database: Database) -> tuple[str | None, str | None]:
    """The revision that a database has, and the newest one."""
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    with database.engine.connect() as connection:
        present = MigrationContext.configure(connection).get_current_revision()
    return present, ScriptDirectory.from_config(alembic_config(str(database.engine.url))).get_current_head()


def migrate(url: str, revision: str = "head") -> None:
    """Upgrade the schema of the database at `url`; nothing happens where it is there already.

    Raises:
        UnusableUrl: it names no database that b2cal can use.
        NewerSchema: a newer b2cal has upgraded it before.
    """
    from alembic import command
    from alembic.util import CommandError

    check_url(url)
    try:
        command.upgrade(alembic_config(url), revision)
    except CommandError as error:  # it knows every revision but those to come
        raise NewerSchema(
            f"The calibration database cannot be used by this b2cal, which is older: {error}.",
            "Use the b2cal that upgraded it, or a newer one.",
        ) from error
