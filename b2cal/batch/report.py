"""Reading what the wrapper (`b2cal.calibration.job`) leaves in the folder of a job: its report, what it printed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

NAME = "job_report.json"
HEARTBEAT = "heartbeat"
SILENT_AFTER = timedelta(minutes=5)
"""A job that has given no sign of life for so long may be in trouble; it has not failed for that."""

SO_FAR = "printed_so_far"
"""What a running job had printed when somebody asked, where its own files come back only with it."""

PRINTED = ("wrapper.log", "stdout", "stderr")
"""What a job prints: the wrapper itself, then the command."""


@dataclass(frozen=True)
class JobReport:
    """How a job ended, and what it took.

    Attributes:
        exit_code: of its command, 128 + n if signal n ended it; None if nobody saw it end.
        error: the first error, one line; empty if there is none.
        cpu_s: processor time of the command and all that it started, in seconds.
        memory_bytes: the most that all its processes together were seen to use, or one of them alone.
        disk_bytes: the most that its folder was seen to take.
        limits: what it might have used, of `wall_s`, `cpu_s`, `memory_bytes` and `disk_bytes` what is limited.
    """

    exit_code: int | None
    error: str
    started_at: datetime | None = None
    ended_at: datetime | None = None
    host: str = ""
    cpu_s: float | None = None
    memory_bytes: int | None = None
    disk_bytes: int | None = None
    limits: Mapping[str, float] = field(default_factory=dict)

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
                # A wrapper that was shipped before knows of one process only.
                memory_bytes=int(content.get("memory_bytes", content["max_rss_bytes"])),
                disk_bytes=int(content["disk_bytes"]) if "disk_bytes" in content else None,
                limits={str(name): float(most) for name, most in dict(content.get("limits", {})).items()},
            )
        except FileNotFoundError:
            return None
        except (IsADirectoryError, NotADirectoryError, KeyError, TypeError, ValueError) as error:
            return cls(None, f"{NAME} cannot be used: {error!r}.")


@dataclass(frozen=True)
class Heartbeat:
    """A sign of life of a running job: what it uses at that moment."""

    at: datetime
    cpu_s: float
    memory_bytes: int
    disk_bytes: int

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """The last one of the job in this folder; None if there is none, or none that makes sense."""
        try:
            content = json.loads((folder / HEARTBEAT).read_bytes())
            used = float(content["cpu_s"]), int(content["memory_bytes"]), int(content["disk_bytes"])
            return cls(_moment(content["time"]), *used)
        except (OSError, KeyError, TypeError, ValueError):
            return None

    def is_silent(self, at: datetime) -> bool:
        """Whether it should have been followed by another long ago."""
        return at - self.at >= SILENT_AFTER


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
