"""Serve a sample on port 8401."""

import sys
from pathlib import Path

from b2cal.core.clock import ManualClock
from b2cal.site import create_app

from . import NOW, served, settings

folder = Path(sys.argv[1])
home = settings(folder) if (folder / "var" / "b2cal.db").exists() else served(folder)
create_app(home, ManualClock(NOW)).run(port=8401, threaded=True)
