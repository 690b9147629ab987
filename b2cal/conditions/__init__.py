"""Payload files, global tags, and what is valid for which runs."""

from .apart import Allowance, Answer, work_apart
from .checks import FileCheck, check_files
from .entries import Entry, NoConstants, at, clipped, coverage_problems, effective
from .publication import Change, PublicationRefused, preview, publish
from .store import PayloadChanged, PayloadStore, StoredFile
from .tags import TagRefused, UnknownTag, create_tag, set_tag_state, store_payload, tag_entries, tag_named

__all__ = [
    "Allowance",
    "Answer",
    "Change",
    "Entry",
    "FileCheck",
    "NoConstants",
    "PayloadChanged",
    "PayloadStore",
    "PublicationRefused",
    "StoredFile",
    "TagRefused",
    "UnknownTag",
    "at",
    "check_files",
    "clipped",
    "coverage_problems",
    "create_tag",
    "effective",
    "preview",
    "publish",
    "set_tag_state",
    "store_payload",
    "tag_entries",
    "tag_named",
    "work_apart",
]
