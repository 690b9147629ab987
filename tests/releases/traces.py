"""What taking in a release leaves: rows and files."""

from contextlib import contextmanager

from sqlalchemy import func, select

from b2cal.model import Base


def row_counts(database):
    with database.read() as db:
        tables = Base.metadata.sorted_tables
        return {table.name: db.scalar(select(func.count()).select_from(table)) for table in tables}


@contextmanager
def nothing_is_left(database, *folders):
    """No row and no file comes, goes or changes."""
    files = [{path: path.stat().st_mtime_ns for path in folder.rglob("*")} for folder in folders]
    rows = row_counts(database)
    yield
    assert row_counts(database) == rows
    # SQLite's own files beside the database may come and go with its connections
    after = [{path: path.stat().st_mtime_ns for path in folder.rglob("*")} for folder in folders]
    for before, now in zip(files, after, strict=True):
        assert {p: t for p, t in now.items() if "b2cal.db" not in p.name} == {
            p: t for p, t in before.items() if "b2cal.db" not in p.name
        }
