"""From which commit something was made."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def commit() -> str:
    """What is checked out; `-dirty` when anything has changed since but the docs, in which results are kept."""
    head = _git("rev-parse", "--short=12", "HEAD").stdout.strip()
    changed = _git("diff", "--quiet", "HEAD", "--", ".", ":!docs").returncode
    return f"{head}-dirty" if changed else head


def _git(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *words], cwd=ROOT, check=False, capture_output=True, text=True)
