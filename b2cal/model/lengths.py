"""What is longer than its column is refused before any database sees it: SQLite would take it, MariaDB raises."""

from functools import cache

from sqlalchemy import Connection, Insert, String, Table, Update
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.engine.interfaces import DBAPICursor, ExecutionContext

from b2cal.core.errors import B2calError

_SHOWN = 40


class TooLong(B2calError):
    """A text has more characters than its place in the database takes."""


def refuse_too_long(
    _connection: Connection,
    _cursor: DBAPICursor,
    _sql: str,
    _parameters: object,
    context: ExecutionContext | None,
    _many: bool,  # noqa: FBT001
) -> None:
    """Look at all that a statement is to write; listens to `before_cursor_execute`.

    Raises:
        TooLong: names what is too long, and how long it may be.
    """
    if not isinstance(context, DefaultExecutionContext) or context.compiled is None:
        return
    statement = context.compiled.statement
    if not isinstance(statement, Insert | Update) or not isinstance(statement.table, Table):
        return
    limits = _limits(statement.table)
    for row in context.compiled_parameters:
        for column, limit in limits.items():
            value = row.get(column)
            if isinstance(value, str) and len(value) > limit:
                what = f"The {column} of a {statement.table.name}".replace("_", " ")
                raise TooLong(
                    f"{what} may have at most {limit} characters, not {len(value)}: {value[:_SHOWN]}…",
                    "Make it shorter.",
                )


@cache
def _limits(table: Table) -> dict[str, int]:
    """The columns of a table that hold texts of limited length."""
    kinds = {column.key: column.type for column in table.columns}
    return {key: kind.length for key, kind in kinds.items() if isinstance(kind, String) and kind.length is not None}
