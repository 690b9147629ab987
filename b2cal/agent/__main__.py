"""`python -m b2cal.agent`: the agent in the foreground, until SIGTERM or Ctrl-C. Jobs go on without it."""

import signal
import sys
import time
from collections.abc import Mapping
from types import FrameType
from typing import Any

import structlog

from b2cal import loop
from b2cal.batch import backends

from .agent import Agent

STANDBY_S = 1.0
"""How often an agent that is not the one looks whether it may be."""

LONGEST_PAUSE_S = 5.0
"""How long the agent rests, at most, after a round that failed as a whole, for instance without its database."""

log = structlog.get_logger(__name__)


class _Stop:
    """Whether somebody asked this process to end."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True

    def pause(self, seconds: float) -> None:
        """Sleep, but not longer than a moment after being asked."""
        ends = time.monotonic() + seconds
        while not self.asked and (left := ends - time.monotonic()) > 0:
            time.sleep(min(left, 0.25))


def main() -> int:
    """Run rounds until asked to stop."""
    stop = _Stop()
    workplace = loop.open_workplace()
    settings, database = workplace.settings, workplace.database

    def write_graph(body: Mapping[str, Any]) -> None:
        loop.write_graph(workplace, body["processing_id"])

    def deliver(body: Mapping[str, Any]) -> None:
        log.info("message", **body)  # people see what needs them on the site; mail and tickets need a tracker

    handlers = {"graph": write_graph, "message": deliver}
    agent = Agent(settings, database, backends(settings, database), handlers)
    pause_s = settings.batch.poll_interval_s
    while not stop.asked:
        try:
            working = agent.round()
            pause_s = settings.batch.poll_interval_s if working else STANDBY_S
        except Exception:
            log.exception("a round failed, the next follows")
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        stop.pause(pause_s)
    agent.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
