"""Payload files, global tags, and what is valid for which runs."""

from .checks import FileCheck, check_files
from .entries import Entry, clipped, coverage_problems, effective
from .local_database import InvalidLocalDatabase, parse_database, read_local_database, unpacked
from .publication import Change, PublicationRefused, fixed_for, preview, publish
from .store import PayloadChanged, PayloadStore, StoredFile
from .tags import (
    TagRefused,
    UnknownTag,
    create_tag,
    set_tag_state,
    state_change,
    store_payload,
    tag_entries,
    tag_named,
    takes_payloads,
    way_on,
    way_to_correct,
)
from .unpacking import DATABASE

__all__ = [
    "DATABASE",
    "Change",
    "Entry",
    "FileCheck",
    "InvalidLocalDatabase",
    "PayloadChanged",
    "PayloadStore",
    "PublicationRefused",
    "StoredFile",
    "TagRefused",
    "UnknownTag",
    "check_files",
    "clipped",
    "coverage_problems",
    "create_tag",
    "effective",
    "fixed_for",
    "parse_database",
    "preview",
    "publish",
    "read_local_database",
    "set_tag_state",
    "state_change",
    "store_payload",
    "tag_entries",
    "tag_named",
    "takes_payloads",
    "unpacked",
    "way_on",
    "way_to_correct",
]
