"""Reading what the wrapper (`b2cal.calibration.job`) leaves in the folder of a job: its report, what it printed."""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

NAME = "job_report.json"
PRINTED = ("wrapper.log", "stdout", "stderr")
"""What a job prints: the wrapper itself, then the command."""


@dataclass(frozen=True)
class JobReport:
    """How a job ended, and what it took.

    Attributes:
        exit_code: of its command, 128 + n if signal n ended it; None if nobody saw it end.
        error: the first error, one line; empty if there is none.
        cpu_s: processor time of the command and all that it started, in seconds.
        memory_bytes: the largest memory of one process of it.
    """

    exit_code: int | None
    error: str
    started_at: datetime | None = None
    ended_at: datetime | None = None
    host: str = ""
    cpu_s: float | None = None
    memory_bytes: int | None = None

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """The report in a job's folder; None if there is none. One that makes no sense has no exit code.

        Raises:
            OSError: it may be there, but cannot be read now; that says nothing about the job.
        """
        try:
            content = json.loads((folder / NAME).read_bytes())
            exit_code = content["exit_code"]
            if exit_code is None:
                return cls(None, str(content["error"]))
            return cls(
                exit_code=int(exit_code),
                error=str(content["error"] or ""),
                started_at=_moment(content["started"]),
                ended_at=_moment(content["ended"]),
                host=str(content["host"]),
                cpu_s=float(content["cpu_s"]),
                memory_bytes=int(content["max_rss_bytes"]),
            )
        except FileNotFoundError:
            return None
        except (IsADirectoryError, NotADirectoryError, KeyError, TypeError, ValueError) as error:
            return cls(None, f"{NAME} cannot be used: {error!r}.")


def printed(folder: Path, tail: int | None) -> bytes:
    """What a job on this file system has printed so far, at least the last `tail` bytes of it."""
    return b"".join(_end_of(folder / name, tail) for name in PRINTED)


def _end_of(path: Path, tail: int | None) -> bytes:
    try:
        with open(path, "rb") as file:
            file.seek(0 if tail is None else max(0, path.stat().st_size - tail))
            return file.read()
    except FileNotFoundError:
        return b""


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return moment
