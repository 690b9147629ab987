"""Sphinx configuration."""

from importlib.metadata import version as version_of

project = "b2cal"
author = "the b2cal authors"
copyright = "2026, the b2cal authors"
version = release = version_of("b2cal")

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = "b2cal"
nitpicky = True
