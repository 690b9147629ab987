"""Every text that people or scripts can write, made hostile: in all tables and in all files beside them.

The same text always becomes the same hostile text, so what refers to a name still finds it.
"""

import json
from typing import Any

from sqlalchemy import JSON, Enum, String, bindparam, select, update
from sqlalchemy.orm import Session

from b2cal.model import Base
from b2cal.settings import Settings

EVIL = "\"'><x-evil onevil=1><img src=x onerror=alert(1)>{{7*7}}"
"""In mark-up this is an element, in an attribute with either kind of quotes the end of it, in Jinja a template."""

NEVER_FREE = frozenset(
    {
        "batch_id", "checksum", "code_sha256", "combination", "fingerprint", "folder", "from_state", "holder",
        "identity", "key", "kind", "password_hash", "path", "report", "request_key", "seen", "sha256", "to_state",
        "token", "verb", "version_num", "zone",
    }
)  # fmt: skip
"""Columns that b2cal fills with words, hashes and places of its own."""

FIXED = frozenset(
    {
        "file", "first", "grade", "identity", "input_data_formats", "last", "origin", "outcome", "run", "type",
        "window_ends_at",
    }
)  # fmt: skip
"""The same inside JSON, by the name of the key."""


NAMED_FREELY = frozenset(
    {
        "attributes", "changes", "config", "expected", "expert_config", "filters", "input_data_filters",
        "properties", "vocabulary",
    }
)  # fmt: skip
"""Objects whose keys are names that people or scripts chose."""


def hostile(text: str) -> str:
    return text if not text or text.endswith(EVIL) else f"{text}{EVIL}"


def inside(value: Any, key: str = "") -> Any:
    """JSON with all its free texts made hostile; `key` is where it stands."""
    if isinstance(value, str):
        return hostile(value)
    if isinstance(value, list):
        return [inside(item) for item in value]
    if isinstance(value, dict):
        return {
            hostile(name) if key in NAMED_FREELY else name: item if name in FIXED else inside(item, name)
            for name, item in value.items()
        }
    return value


def poison(db: Session, home: Settings) -> int:
    """Make everything hostile; how many columns were."""
    n_columns = 0
    for table in Base.metadata.sorted_tables:
        free = [
            column
            for column in table.columns
            if isinstance(column.type, String | JSON)
            and not isinstance(column.type, Enum)
            and column.name not in NEVER_FREE
        ]
        rows = db.execute(select(table)).mappings().all() if free else ()
        if rows:
            n_columns += len(free)
            keys = list(table.primary_key.columns)
            here = [column == bindparam(f"old_{column.name}") for column in keys]
            new = {column.name: bindparam(f"new_{column.name}", type_=column.type) for column in free}
            db.connection().execute(
                update(table).where(*here).values(new),
                [
                    {f"old_{column.name}": row[column.name] for column in keys}
                    | {f"new_{column.name}": inside(row[column.name], column.name) for column in free}
                    for row in rows
                ],
            )
    for path in home.attempts.rglob("std*"):
        path.write_text("".join(f"{hostile(line)}\n" for line in path.read_text().splitlines()))
    for path in home.reports.rglob("*.json"):
        path.write_text(json.dumps(inside(json.loads(path.read_text()))))
    return n_columns
