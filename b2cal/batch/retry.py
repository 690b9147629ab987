"""Which failed jobs are tried again. The rules are data; the first that fits a failure counts.

A rule fits by the source of the failure, its code (None: any) and a pattern in the error message (empty: any).
`reference` says where the code or the advice comes from.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class Source(StrEnum):
    """Who says that a job failed."""

    SIGNAL = "signal"
    EXIT = "exit"
    OUTPUT = "output"
    LOST = "lost"


class Remedy(StrEnum):
    """What is done about a failed job."""

    LATER = "later"
    NEVER = "never"


@dataclass(frozen=True)
class Failure:
    """How a job failed: the number of the signal or the exit code, where there is one, and the first error."""

    source: Source
    code: int | None
    message: str

    @classmethod
    def of(cls, exit_code: int | None, message: str) -> Self:
        """The failure of a job that nobody saw end (None), that left too little behind (0), or that ended badly."""
        if exit_code is None:
            return cls(Source.LOST, None, message)
        if exit_code == 0:
            return cls(Source.OUTPUT, None, message)
        if exit_code > 128:
            return cls(Source.SIGNAL, exit_code - 128, message)
        return cls(Source.EXIT, exit_code, message)


@dataclass(frozen=True)
class Rule:
    """What is done about failures of one kind, and why."""

    source: Source
    code: int | None
    pattern: str
    remedy: Remedy
    because: str
    reference: str

    def fits(self, failure: Failure) -> bool:
        return (
            self.source is failure.source
            and self.code in (None, failure.code)
            and re.search(self.pattern, failure.message) is not None
        )


_TRANSIENT_ERRNO = r"\[Errno (4|5|11|12|23|24|28|110|116|122)\]|MemoryError"
_RULES_OF_THE_MACHINE = "errno(3): EINTR EIO EAGAIN ENOMEM ENFILE EMFILE ENOSPC ETIMEDOUT ESTALE EDQUOT"

RULES: tuple[Rule, ...] = (
    Rule(Source.LOST, None, "", Remedy.LATER, "its machine or its wrapper went away", "b2cal.calibration.job"),
    Rule(Source.SIGNAL, 9, "", Remedy.LATER, "killed, most often for want of memory", "signal(7), oom_kill"),
    Rule(Source.SIGNAL, 15, "", Remedy.LATER, "asked to end, as at a shutdown of its machine", "signal(7)"),
    Rule(Source.SIGNAL, None, "", Remedy.LATER, "crashed; a fault of its machine is not excluded", "signal(7)"),
    Rule(Source.EXIT, 73, "", Remedy.LATER, "an output could not be written", "sysexits.h EX_CANTCREAT"),
    Rule(Source.EXIT, 74, "", Remedy.LATER, "an input could not be read", "sysexits.h EX_IOERR"),
    Rule(Source.EXIT, 75, "", Remedy.LATER, "it says itself that this passes", "sysexits.h EX_TEMPFAIL"),
    Rule(Source.EXIT, 126, "", Remedy.LATER, "its command could not be run", "POSIX.1 shell"),
    Rule(Source.EXIT, 127, "", Remedy.LATER, "its command was not found", "POSIX.1 shell; ERT issue 12862"),
    Rule(Source.EXIT, 2, "", Remedy.NEVER, "its job.json makes no sense", "b2cal.calibration.stage"),
    Rule(Source.EXIT, 1, _TRANSIENT_ERRNO, Remedy.LATER, "its machine was short of something", _RULES_OF_THE_MACHINE),
    Rule(Source.EXIT, 1, "", Remedy.NEVER, "the script failed, and would fail again", "b2cal.calibration.stage"),
    Rule(Source.EXIT, None, "", Remedy.LATER, "the exit code is not known, it may pass", "default"),
    Rule(Source.OUTPUT, None, "", Remedy.LATER, "its output is not complete", "b2cal.runtime.OUTPUTS"),
)  # fmt: skip


def rule_for(failure: Failure, rules: Sequence[Rule] = RULES) -> Rule:
    """The first rule that fits.

    Raises:
        LookupError: none does; the rules must end with one for each source that fits all.
    """
    for rule in rules:
        if rule.fits(failure):
            return rule
    raise LookupError(f"no retry rule fits {failure}")
