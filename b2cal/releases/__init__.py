"""Releases: sets of calibration scripts at one version, their graph, schemas and filter vocabulary."""

from .adding import Added, add, newest
from .config import ConfigProblem, config_problems, merged_config
from .errors import ReleaseRefused
from .filters import DATA_TAG, Asked, Vocabulary, asked_for, filter_problems, shown, streams_of
from .graph import find_cycle, graph
from .inspection import TIME_LIMIT_S, Inspection, inspect
from .snapshot import folder

__all__ = [
    "DATA_TAG",
    "TIME_LIMIT_S",
    "Added",
    "Asked",
    "ConfigProblem",
    "Inspection",
    "ReleaseRefused",
    "Vocabulary",
    "add",
    "asked_for",
    "config_problems",
    "filter_problems",
    "find_cycle",
    "folder",
    "graph",
    "inspect",
    "merged_config",
    "newest",
    "shown",
    "streams_of",
]
