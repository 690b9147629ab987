"""The `b2cal` command."""

from .main import main

__all__ = ["main"]
