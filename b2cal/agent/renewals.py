"""Credentials are renewed by the command of their storage, beside the other work of the agent.

What the command prints is kept nowhere: it may be the credential.
"""

import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from b2cal.core.files import CannotWrite, write_atomically
from b2cal.data import Credentials, spoken_moment

from .desk import Desk

LOOK_EVERY = timedelta(minutes=1)
PATIENCE = timedelta(minutes=5)
"""How long the command may take; and how long one that was in vain is not given again."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _UnderWay:
    credentials: Credentials
    process: subprocess.Popen[bytes]
    begun: datetime


class Renewals:
    """One command at a time: two centres may share a credential, and for the second it is fresh already."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._under_way: _UnderWay | None = None
        self._look_at: datetime | None = None
        self._in_vain: dict[str, datetime] = {}

    def look(self) -> None:
        """Give the next command that is due; judge the one that was given before. Waits for nothing."""
        at = self._desk.now()
        if self._under_way is not None:
            self._follow(self._under_way, at)
        elif self._look_at is None or at >= self._look_at:
            self._begin(at)

    def _begin(self, at: datetime) -> None:
        for centre in self._desk.settings.storages:
            rests = centre in self._in_vain and at < self._in_vain[centre] + PATIENCE
            credentials = Credentials.of(self._desk.settings, centre)
            if rests or not credentials.are_to_be_renewed(at):
                continue
            try:
                process = subprocess.Popen(
                    credentials.storage.renew,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            except OSError as error:
                self._end(credentials, at, f"cannot be called: {error.strerror}")
                continue
            self._under_way = _UnderWay(credentials, process, at)
            return
        self._look_at = at + LOOK_EVERY

    def stop(self) -> None:
        """End the command that is under way: nobody would follow it any more."""
        if self._under_way is not None:
            _kill(self._under_way.process)
            self._under_way = None

    def _follow(self, it: _UnderWay, at: datetime) -> None:
        code = it.process.poll()
        if code is None:
            if at - it.begun < PATIENCE:
                return
            _kill(it.process)
            trouble = f"has not ended within {PATIENCE.seconds // 60} minutes"
        elif code:
            trouble = f"ended with code {code}"
        elif it.credentials.are_to_be_renewed(at):
            trouble = "ended well, but what it should renew still ends in less than `renew_before_s`"
        else:
            trouble = ""
        self._under_way = None
        self._end(it.credentials, at, trouble)

    def _end(self, credentials: Credentials, at: datetime, trouble: str) -> None:
        if not trouble:
            log.info("credentials were renewed", centre=credentials.centre)
            self._in_vain.pop(credentials.centre, None)
            with suppress(OSError):
                credentials.note.unlink(missing_ok=True)
            return
        log.warning("credentials could not be renewed", centre=credentials.centre, error=trouble)
        self._in_vain[credentials.centre] = at
        told = (
            f"The command `renew` of {credentials.centre} {trouble} ({spoken_moment(at)}): give it by hand to see why;"
            " it is tried again every 5 minutes."
        )
        with suppress(CannotWrite, OSError):
            credentials.note.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(credentials.note, told)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a command, and all that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
