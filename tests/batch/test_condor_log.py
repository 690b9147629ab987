"""The event log of HTCondor: a log that a pool of version 23.9.6 has written, whole and cut anywhere."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b2cal.batch import START
from b2cal.batch.condor_log import EventLogs
from b2cal.model import JobState

RECORDED = (Path(__file__).parent / "recorded" / "condor_23.9.6.log").read_bytes()
ENDS = {
    ("aaaa1111", 0): (JobState.DONE, ""),
    ("aaaa1111", 1): (JobState.FAILED, ""),
    ("bbbb2222", 0): (JobState.CANCELLED, "Removed from HTCondor: b2cal does not want it any more (by user prod)"),
    ("bbbb2222", 1): (JobState.CANCELLED, "Removed from HTCondor: b2cal does not want it any more (by user prod)"),
    ("bbbb2222", 2): (JobState.CANCELLED, "Removed from HTCondor: b2cal does not want it any more (by user prod)"),
}
HELD = "Held by HTCondor, code 13/2: Transfer input files failure"


def ends(log: EventLogs) -> dict[tuple[str, int], tuple[JobState, str]]:
    return {
        (job.handle.token, job.handle.number): (job.handle.state, job.failure.message if job.failure else "")
        for job in log.jobs()
    }


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "jobs.log"


def test_the_last_state_of_each_job_is_told_with_its_reason_and_other_peoples_jobs_are_not_ours(path: Path) -> None:
    path.write_bytes(RECORDED)
    log = EventLogs(path.parent)
    log.read()
    found = ends(log)
    state, reason = found.pop(("cccc3333", 0))
    assert (state, reason[: len(HELD)]) == (JobState.QUEUED, HELD)
    assert "/cccc3333/r0e1/0/1/wrapper.json: (errno 2) No such file or directory" in reason
    assert found == ENDS
    assert {job.folder.parts[-4] for job in log.jobs()} == {"aaaa1111", "bbbb2222", "cccc3333"}


@given(st.lists(st.integers(0, len(RECORDED)), max_size=4))
def test_who_reads_while_it_is_written_sees_whole_events_and_the_same_in_the_end(path: Path, cuts: list[int]) -> None:
    path.unlink(missing_ok=True)
    log = EventLogs(path.parent)
    cursor, told = START, {}
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(RECORDED)], strict=True):
        with path.open("ab") as file:
            file.write(RECORDED[begin:end])
        log.read()
        for job in log.after(cursor):
            told[job.handle.token, job.handle.number] = (job.handle.state, job.failure.message if job.failure else "")
            cursor = log.event(job).cursor
    assert told == ends(log)
    whole = EventLogs(path.parent)
    whole.read()
    assert ends(log) == ends(whole)
    assert [job.batch_id for job in whole.after(cursor)] == [job.batch_id for job in whole.jobs()]


def test_a_job_that_lost_its_machine_tells_when_it_was_started_the_last_time(path: Path) -> None:
    begin, _, _ = RECORDED.partition(b"006 (001.000.000)")
    usage = b"\t\tUsr 0 00:00:00, Sys 0 00:00:00  -  Run %s Usage\n"
    evicted = b"004 (001.000.000) 2026-11-27 08:00:00 Job was evicted.\n\t(0) Job was not checkpointed.\n"
    evicted += usage % b"Remote" + usage % b"Local" + b"...\n"
    (execute,) = re.findall(rb"(?s)001 \(001\.000\.000\).*?\n\.\.\.\n", begin)
    again = execute.replace(b"2026-11-27 07:26:30", b"2026-11-27 09:00:00")
    reconnected = b"023 (001.000.000) 2026-11-27 10:00:00 Job reconnected to slot1@vm\n    startd address: <a>\n"
    path.write_bytes(begin + evicted + again + reconnected + b"    starter address: <a>\n...\n")
    log = EventLogs(path.parent)
    assert log.read()
    (job,) = [job for job in log.jobs() if (job.handle.token, job.handle.number) == ("aaaa1111", 0)]
    assert (job.handle.state, job.began) == (JobState.RUNNING, datetime(2026, 11, 27, 9).astimezone(UTC))


def test_events_behind_a_damaged_one_are_read_the_next_time(path: Path) -> None:
    begin, terminated, end = RECORDED.partition(b"005 (001.000.000)")
    path.write_bytes(begin + terminated + b" \0\0\0\n...\n" + end.partition(b"...\n")[2])
    log = EventLogs(path.parent)
    assert not log.read()
    assert log.read()
    assert ends(log).items() > {**ENDS, ("aaaa1111", 0): (JobState.RUNNING, "")}.items()
