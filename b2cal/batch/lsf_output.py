"""What LSF's commands print, as data. Pure: they get text and give what stands in it, or say that they cannot.

Formats: IBM Spectrum LSF 10.1 command reference (bsub, bjobs -json -o, bhist -l, bkill). LSF has no other interface
that every site offers.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from b2cal.model import JobState

from .contract import BatchId

FIELDS = "jobid jobindex stat job_name:4095 exit_code exit_reason:4095 exec_host:4095"
"""What bjobs is asked for. Fields get a width: where none is given LSF cuts long values."""

_SUBMITTED = re.compile(r"^Job <([1-9]\d*)> is submitted to ", re.ASCII | re.MULTILINE)
_NOTHING = re.compile(r"is not found|^No (unfinished |matching )?jobs? found|No matching job found", re.MULTILINE)
_NONE_WAITS = re.compile(r"already (started|finished)|is not found|No matching job found", re.IGNORECASE)
_ID = re.compile(r"[1-9]\d*(\[\d+\])?", re.ASCII)
_NOT_THERE = re.compile(r"Job has already finished|No matching job found|is not found|is being (terminated|signaled)")

_WAITS = frozenset({"PEND", "PSUSP", "WAIT", "PROV"})
_RUNS = frozenset({"RUN", "USUSP", "SSUSP"})
_ENDED_WELL = frozenset({"DONE"})
_ENDED_BADLY = frozenset({"EXIT"})
"""STAT. ZOMBI and UNKWN say that LSF has lost contact with the job's machine: it may run on, so nothing is known."""

_STOPPED = {
    "PSUSP": "suspended by its owner or an administrator while it waited",
    "USUSP": "suspended by its owner or an administrator while it ran",
    "SSUSP": "suspended by LSF itself, for the load of its host or the hours of its queue",
}

_BY_SOMEBODY = ("TERM_OWNER", "TERM_FORCE_OWNER", "TERM_ADMIN", "TERM_FORCE_ADMIN")
"""Exit reasons of jobs that were killed by a person, or by b2cal for one."""

_INDENTED = re.compile(r"\n {21}(?=\S)")
"""bhist -l breaks long lines and begins the rest of them with 21 spaces."""


class NotUnderstood(ValueError):
    """A command printed something that this version does not know."""


@dataclass(frozen=True)
class LsfJob:
    """What LSF tells of one job, or of one element of a job array.

    `reason` is why it ended badly, or does not run; `host` is where it runs, as far as that is known.
    """

    batch_id: BatchId
    name: str
    state: JobState | None
    reason: str = ""
    host: str = ""


def submitted(stdout: str) -> str:
    """The number of the job or array that bsub has submitted.

    Raises:
        NotUnderstood: it does not say that it has.
    """
    match = _SUBMITTED.search(stdout)
    if match is None:
        raise NotUnderstood(f"bsub says {stdout.strip()!r}")
    return match[1]


def says_that_there_is_none(stderr: str) -> bool:
    """Whether bjobs or bhist ended badly only because no job fits."""
    return _NOTHING.search(stderr) is not None


def says_that_none_waits(stderr: str) -> bool:
    """Whether bmod ended badly only because all jobs have begun or ended."""
    return _NONE_WAITS.search(stderr) is not None


def jobs(stdout: str) -> list[LsfJob]:
    """The records of `bjobs -json -o FIELDS`; those that only say that a job is unknown are left out.

    Raises:
        NotUnderstood: it is no such list.
    """
    try:
        records = json.loads(stdout)["RECORDS"]
        return [_job(record) for record in records if "STAT" in record]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise NotUnderstood(f"bjobs says {stdout[:200]!r}: {error!r}") from error


def _job(record: dict[str, str]) -> LsfJob:
    number, index = record["JOBID"].strip(), record.get("JOBINDEX", "").strip()
    batch_id = f"{number}[{index}]" if index not in ("", "0", "-") and "[" not in number else number
    if _ID.fullmatch(batch_id) is None:
        raise ValueError(f"{batch_id!r} is no job")
    name = re.sub(r"\[[^\]]*\]$", "", record["JOB_NAME"].strip())
    state, reason = _state(record["STAT"].strip(), record.get("EXIT_CODE", ""), record.get("EXIT_REASON", ""))
    host = re.sub(r"^\d+\*", "", record.get("EXEC_HOST", "").strip(" -")).partition(":")[0]
    return LsfJob(batch_id, name, state, reason, host)


def _state(stat: str, exit_code: str, said: str) -> tuple[JobState | None, str]:
    if stat in _ENDED_BADLY:
        reason = said.strip(" -") or (f"exit code {exit_code.strip()}" if exit_code.strip(" -") else "")
        return _ended_badly(reason)
    if stat in _ENDED_WELL:
        return JobState.DONE, ""
    stopped = f"LSF: {_STOPPED[stat]} ({stat})" if stat in _STOPPED else ""
    return (JobState.QUEUED if stat in _WAITS else JobState.RUNNING if stat in _RUNS else None), stopped


def _ended_badly(reason: str) -> tuple[JobState, str]:
    by_somebody = any(word in reason for word in _BY_SOMEBODY)
    return (JobState.CANCELLED if by_somebody else JobState.FAILED), f"LSF: {reason}" if reason else ""


def histories(stdout: str) -> Iterator[LsfJob]:
    """The jobs of `bhist -l`, each with the last state that its history comes to."""
    text = _INDENTED.sub("", stdout.replace("\r\n", "\n"))
    for block in re.split(r"^(?=Job <)", text, flags=re.MULTILINE)[1:]:
        head = re.match(r"Job <([^>]*)>(?:, Job Name <([^>]*)>)?", block)
        if head is None or _ID.fullmatch(head[1]) is None:
            continue
        name = re.sub(r"\[[^\]]*\](%\d+)?$", "", head[2] or "")
        state, reason = _last_state(block)
        yield LsfJob(head[1], name, state, reason)


_EVENT = re.compile(r"^\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d(?: \d{4})?: (.*)$", re.MULTILINE)
_TERMINATED = re.compile(r"TERM_\w+(?:: [^;]*)?")


def _last_state(block: str) -> tuple[JobState | None, str]:
    state: JobState | None = None
    reason = ""
    for event in _EVENT.findall(block):
        terminated = _TERMINATED.search(event)
        if event.startswith("Exited") or (terminated and state is JobState.FAILED):
            state, reason = _ended_badly(terminated[0] if terminated else event.partition(".")[0])
        elif event.startswith("Done successfully"):
            state, reason = JobState.DONE, ""
        elif event.startswith(("Starting", "Resumed")):
            state, reason = JobState.RUNNING, ""
        elif event.startswith(("Submitted from", "Pending", "Requeue")):
            state, reason = JobState.QUEUED, ""
    return state, reason


def refusals(output: str) -> list[str]:
    """The lines of bkill that say that a job was not killed, other than that it has ended or is unknown."""
    return [line for line in output.splitlines() if line.strip() and not _NOT_THERE.search(line)]
