"""Releases: sets of calibration scripts at one version, their graph, schemas and filter vocabulary."""

from .config import ConfigProblem, config_problems, merged_config
from .errors import ReleaseRefused
from .filters import DATA_TAG, Asked, Vocabulary, asked_for, filter_problems, shown
from .graph import graph
from .snapshot import folder

__all__ = [
    "DATA_TAG",
    "Asked",
    "ConfigProblem",
    "ReleaseRefused",
    "Vocabulary",
    "asked_for",
    "config_problems",
    "filter_problems",
    "folder",
    "graph",
    "merged_config",
    "shown",
]
