"""A database with a busy week in it: processings and calibrations in every state, jobs, logs, verdicts, decisions.

`python -m tests.site.sample FOLDER` makes one and serves it, to look at the pages; the password of everybody is `demo`.
"""

from pathlib import Path

from b2cal.core.clock import ManualClock
from b2cal.settings import Settings
from tests import factories

from .items import NOW, PASSWORD
from .story import Story

__all__ = ["NOW", "PASSWORD", "served", "settings"]


def settings(folder: Path) -> Settings:
    """Settings of a home folder below `folder`."""
    return Settings(home=folder / "var")


def served(folder: Path) -> Settings:
    """A filled database in `folder`, whose clock stands at NOW, with logs, measurements and reports."""
    home = settings(folder)
    home.home.mkdir(parents=True, exist_ok=True)
    database = factories.database(home.home, ManualClock(NOW))
    database.write(lambda db: Story(db, home).write())
    database.dispose()
    return home
