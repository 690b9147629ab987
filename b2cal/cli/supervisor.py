"""Keeps the components of b2cal alive: starts, listens, restarts, reaps, stops. The mind behind `b2cal up`."""

import json
import logging
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from threading import Event, Thread
from time import monotonic

from b2cal.core.files import write_atomically

from .components import Component
from .health import signs_of_life
from .watch import ComponentStatus, Watch

log = logging.getLogger(__name__)

ROUND_S = 0.2
LISTEN_EVERY_S = 2.0
END_WITHIN_S = 5.0
FORGOTTEN_AFTER_S = 60.0
"""A trouble that was not met for so long is told again; before, it would fill the log round by round."""

LOG_BYTES = 20_000_000
KEPT_LOGS = 5


class Supervisor:
    """Makes rounds over the components in a thread of its own: its owner is free to show, to ask or to wait.

    Args:
        watched: what is kept alive.
        home: logs go to `logs/` in it; `run/` holds the marks of the processes and the status as `up.json`.
    """

    def __init__(self, watched: Sequence[Component], home: Path) -> None:
        self._status_file = home / "run" / "up.json"
        self._watches = [
            Watch(component, home / "logs" / f"{component.name}.log", home / "run" / f"{component.name}.mark")
            for component in watched
        ]
        self._stopping = Event()
        self._thread = Thread(target=self._rounds, name="supervisor")
        self._listened_at = monotonic()
        self._told = ""
        self._troubles: dict[str, float] = {}

    @property
    def status(self) -> tuple[ComponentStatus, ...]:
        """What can be said of each component now."""
        return tuple(watch.status for watch in self._watches)

    def start(self) -> None:
        """Begin the rounds; the first of them starts the components."""
        for watch in self._watches:
            self._carefully(partial(rotate, watch.status.log))
        self._thread.start()

    def stop(self, hurry: Event) -> None:
        """End all components: ask all at once, kill what is still there after 5 s, or as soon as there is `hurry`.

        Raises:
            CannotEnd: something is stuck in the kernel; all others have ended.
        """
        self._stopping.set()
        if self._thread.is_alive():  # not if the start has failed
            self._thread.join()
        for watch in self._watches:
            self._carefully(watch.ask_to_end)
        log.info("All were asked to end")
        give_up_at = monotonic() + END_WITHIN_S
        while not all(watch.has_ended for watch in self._watches) and monotonic() < give_up_at:
            if hurry.wait(0.05):
                break
        with ExitStack() as last:  # calls all, whatever one of them raises
            last.callback(self._carefully, self._tell)
            for watch in self._watches:
                last.callback(watch.end)

    def _rounds(self) -> None:
        while not self._stopping.wait(ROUND_S):
            for watch in self._watches:
                self._carefully(watch.round)
            if monotonic() - self._listened_at > LISTEN_EVERY_S:
                self._carefully(self._listen)
                self._listened_at = monotonic()
            self._carefully(self._tell)

    def _carefully(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # a full disk, a process that does not die: no reason to leave the others alone
            at = monotonic()
            recent = {trouble: met for trouble, met in self._troubles.items() if at - met < FORGOTTEN_AFTER_S}
            self._troubles = recent | {str(error): at}
            if str(error) not in recent:
                log.exception("The supervisor could not do all of its round")

    def _listen(self) -> None:
        signs = signs_of_life([watch.component for watch in self._watches])
        for watch in self._watches:
            self._carefully(partial(watch.hear, signs))
            self._carefully(partial(_rotate_if_large, watch.status.log))

    def _tell(self) -> None:
        components = [status.to_json() for status in self.status]
        told = json.dumps({"pid": os.getpid(), "components": components}, indent=1)
        if told != self._told:
            write_atomically(self._status_file, told)
            self._told = told


def _rotate_if_large(log_file: Path) -> None:
    with suppress(FileNotFoundError):  # somebody removed it; the next start of the component makes it again
        if log_file.stat().st_size > LOG_BYTES:
            rotate(log_file)


def rotate(log_file: Path) -> None:
    """Keep the present content as `.1`, the older ones up to `.5`. Who has the file open goes on writing into it."""
    if not log_file.exists() or log_file.stat().st_size == 0:
        return
    for number in range(KEPT_LOGS - 1, 0, -1):
        older = log_file.with_name(f"{log_file.name}.{number}")
        if older.exists():
            older.replace(log_file.with_name(f"{log_file.name}.{number + 1}"))
    shutil.copyfile(log_file, log_file.with_name(f"{log_file.name}.1"))
    os.truncate(log_file, 0)
