"""Which process is meant, even after its number was given to another one or the machine was started again."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class ProcessIdentity:
    """A process on this machine, as the kernel tells processes apart.

    Attributes:
        pid: the process number.
        start_time: when it started, in clock ticks since the machine's start (field 22 of proc(5) stat).
        boot_id: which start of the machine that was.
    """

    pid: int
    start_time: int
    boot_id: str

    @classmethod
    def current(cls) -> Self:
        """This process."""
        identity = cls.of(os.getpid())
        assert identity is not None
        return identity

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """The process that has this number now; None if there is none, or only its exit status is left (zombie)."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The second field is the command's name in brackets and may itself hold blanks and brackets.
        state, *fields = stat.rpartition(")")[2].split()
        if state in ("Z", "X"):
            return None
        return cls(pid, int(fields[18]), Path("/proc/sys/kernel/random/boot_id").read_text().strip())

    def is_alive(self) -> bool:
        """Whether this very process still runs."""
        return type(self).of(self.pid) == self
