"""How batch jobs fail or drag on, in words that hold for every batch system, and what can be done about it."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Self

MOST_OF_A_KIND = 120
"""How many characters of an error tell its kind."""


class Source(StrEnum):
    """Who says that a job failed."""

    SIGNAL = "signal"
    EXIT = "exit"
    OUTPUT = "output"
    HOLD = "hold"
    LSF = "lsf"
    LOST = "lost"


class Remedy(StrEnum):
    """What is done about a job that failed or is slow."""

    LATER = "later"
    MORE_MEMORY = "more memory"
    NEVER = "never"
    ASK = "ask"
    RACE = "race"


@dataclass(frozen=True)
class Failure:
    """How a job failed.

    Attributes:
        code: number of the signal, exit code, code of HTCondor's hold reason; None where there is none.
        message: the first error, one line.
    """

    source: Source
    code: int | None
    message: str

    @property
    def kind(self) -> str:
        """What failures have in common that are alike: all but the numbers and places in their message."""
        message = re.sub(r"\d+", "#", re.sub(r"\S*/\S+", "...", self.message))
        code = "" if self.code is None else f" {self.code}"
        return f"{self.source}{code}: {message}"[:MOST_OF_A_KIND]

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
class Slow:
    """How a job drags on that has not failed: `message` says how much longer than its siblings it runs."""

    message: str
    source: Literal["slow"] = "slow"
    code: None = None
