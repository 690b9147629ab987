"""The site's sign of life in the database: windows are extended by the time in which it was missing."""

import logging
from threading import Event

from b2cal import loop
from b2cal.loop import Workplace

log = logging.getLogger(__name__)


def leave(workplace: Workplace, stop: Event) -> None:
    """Leave signs until `stop` is set. A worker that is stopped, or without its database, leaves none."""
    healthy = True
    while True:
        try:
            loop.site_is_there(workplace)
            healthy = True
        except Exception:  # whatever ails the database: people cannot use the site meanwhile
            if healthy:
                log.exception("The site cannot leave its sign of life; trying on")
            healthy = False
        if stop.wait(loop.SIGN_EVERY.total_seconds()):
            return
