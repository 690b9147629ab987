"""Sphinx configuration."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for the extension of our own

project = "b2cal"
author = "the b2cal authors"
copyright = "2026, the b2cal authors"
version = release = version_of("b2cal")

extensions = ["myst_parser", "generated"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = "b2cal"
nitpicky = True
