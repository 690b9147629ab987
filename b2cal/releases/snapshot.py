"""Snapshots of releases: a copy of a folder, found by the digest of its contents."""

from pathlib import Path

from b2cal.model import Release
from b2cal.settings import Settings


def folder(settings: Settings, release: Release) -> Path:
    """Where the snapshot of a release lies."""
    return settings.releases / release.digest
