"""One supervised component: started, listened to, ended, started again."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from time import monotonic

import psutil

from .components import Component
from .ports import taken
from .processes import Family

log = logging.getLogger(__name__)

RESTART_AFTER_S = (0.0, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Pause before each restart in a row; the first is immediate."""

STEADY_AFTER_S = 60.0
"""Who lived that long did not die of its start: the next restart is again immediate."""

FIRST_SIGN_WITHIN_S = 240.0
"""The patience with a component that never worked yet: imports and migrations on a loaded machine."""


class Phase(StrEnum):
    """What a component is doing."""

    STARTING = "starting"
    RUNNING = "running"
    SILENT = "silent"
    WAITING = "waiting"
    STOPPED = "stopped"


@dataclass(frozen=True)
class ComponentStatus:
    """What can be said of a component now.

    Attributes:
        pid: of its leading process; None while there is none.
        restarts: how often it was started again.
        note: why it was started again the last time.
    """

    name: str
    phase: Phase
    pid: int | None
    restarts: int
    note: str
    url: str
    log: Path

    def to_json(self) -> dict[str, str | int | None]:
        """For machines; the path as text."""
        return asdict(self) | {"log": str(self.log)}


class Watch:
    """Keeps one component alive. All methods return at once and are called in rounds."""

    def __init__(self, component: Component, log_file: Path, mark: Path) -> None:
        self.component = component
        self._log_file = log_file
        self._mark = mark
        self._family: Family | None = None
        self._started = datetime.now(UTC)
        self._started_at = self._last_sign_at = self._start_at = monotonic()
        self._worked = False
        self._in_a_row = 0
        self._restarts = 0
        self._note = ""
        self._rests_on: int | None = None
        self._children: set[psutil.Process] = set()
        self._stopped = False

    def round(self) -> None:
        """Start what is due; end and plan anew what died, or what rests on a file that is gone."""
        if self._family is None:
            if not self._stopped and monotonic() >= self._start_at:
                self._try_to_start()
        elif self._family.has_ended:
            code = self._family.end()
            self._plan_restart(f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}")
        elif self._lost_its_file():
            self._end_and_restart(f"worked on {self.component.rests_on}, which was removed or replaced")

    def hear(self, signs: Mapping[str, datetime | None]) -> None:
        """Note the sign of life that this component gave, if any; restart one that is silent or crippled."""
        if self._family is None:
            return
        name = self.component.name
        if name not in signs:
            self._last_sign_at = monotonic()  # nobody can tell now: no reason to doubt
            self._worked = self._worked or self.component.is_mute
        elif (sign := signs[name]) is not None and sign >= self._started:
            self._worked = True
            age = max(0.0, (datetime.now(UTC) - sign).total_seconds())
            self._last_sign_at = max(self._last_sign_at, monotonic() - age)
        limit = self.component.patience_s if self._worked else FIRST_SIGN_WITHIN_S
        if monotonic() - self._last_sign_at > limit:
            self._end_and_restart(f"showed no sign of life for {limit:.0f} s")
        elif self._lost_a_child():
            self._end_and_restart("lost a child process")

    def ask_to_end(self) -> None:
        """Start it no more, and tell it to end."""
        self._stopped = True
        if self._family is not None:
            self._family.ask_to_end()

    @property
    def has_ended(self) -> bool:
        """Whether its leading process is gone."""
        return self._family is None or self._family.has_ended

    def end(self) -> None:
        """Kill what is left of it."""
        self._stopped = True
        if self._family is not None:
            self._family.end()
            self._family = None

    @property
    def status(self) -> ComponentStatus:
        """What can be said of it now."""
        address, family = self.component.address, self._family
        return ComponentStatus(
            name=self.component.name,
            phase=self._phase,
            pid=family.pid if family is not None else None,
            restarts=self._restarts,
            note=self._note,
            url=address.url if address is not None else "",
            log=self._log_file,
        )

    @property
    def _phase(self) -> Phase:
        if self._family is None:
            return Phase.STOPPED if self._stopped else Phase.WAITING
        if not self._worked:
            return Phase.STARTING
        silent = monotonic() - self._last_sign_at > self.component.patience_s / 3
        return Phase.SILENT if silent else Phase.RUNNING

    def _try_to_start(self) -> None:
        self._started = datetime.now(UTC)
        self._started_at = self._last_sign_at = monotonic()
        self._worked = False
        self._rests_on = None
        self._children = set()
        address = self.component.address
        if address is not None and (why := taken(address)):
            self._plan_restart(f"cannot listen on port {address.port}: {why}")
            return
        try:
            self._start()
        except OSError as error:  # a full disk, no process free
            self._plan_restart(f"could not be started: {error.strerror}")

    def _start(self) -> None:
        with open(self._log_file, "a") as file:
            file.write(f"--- {self._started:%Y-%m-%d %H:%M:%S} UTC: {' '.join(self.component.command)}\n")
        self._family = Family(self.component.command, self.component.environment, self._log_file, self._mark)
        log.info("%s started, process %d", self.component.name, self._family.pid)

    def _end_and_restart(self, why: str) -> None:
        if self._family is not None:
            self._family.end()
        self._plan_restart(why)

    def _plan_restart(self, why: str) -> None:
        self._family = None
        if monotonic() - self._started_at > STEADY_AFTER_S:
            self._in_a_row = 0
        pause = RESTART_AFTER_S[min(self._in_a_row, len(RESTART_AFTER_S) - 1)]
        self._start_at = monotonic() + pause
        self._in_a_row += 1
        self._restarts += 1
        self._note = why
        log.warning("%s %s; started again in %.0f s, log in %s", self.component.name, why, pause, self._log_file)

    def _lost_its_file(self) -> bool:
        if self.component.rests_on is None:
            return False
        try:
            now = self.component.rests_on.stat().st_ino
        except FileNotFoundError:
            return self._worked  # before that it is only being made
        self._rests_on = self._rests_on or now
        return now != self._rests_on

    def _lost_a_child(self) -> bool:
        if self._family is None or not self._worked or not self.component.needs_children:
            return False
        before, self._children = self._children, self._family.children()
        return not before <= self._children
