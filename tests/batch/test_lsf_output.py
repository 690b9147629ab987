"""What LSF's commands print: the documented forms, and anything else."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b2cal.batch import lsf_output
from b2cal.batch.lsf_output import LsfJob, NotUnderstood
from b2cal.model import JobState

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
)
RECORD = st.dictionaries(
    st.sampled_from(["JOBID", "JOBINDEX", "STAT", "JOB_NAME", "EXIT_CODE", "EXIT_REASON", "ERROR"]),
    st.text(max_size=12) | st.sampled_from(["12", "12[3]", "DONE", "EXIT", "RUN", "PEND", "ZOMBI", "-", ""]),
)


def bjobs(**values: str) -> list[LsfJob]:
    record = {"JOBID": "12", "JOBINDEX": "3", "STAT": "RUN", "JOB_NAME": "b2cal.a.t.1.0[3]", **values}
    return lsf_output.jobs(json.dumps({"COMMAND": "bjobs", "JOBS": 1, "RECORDS": [record]}))


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("Job <8195> is submitted to queue <normal>.\n", "8195"),
        ("Job <8195> is submitted to default queue <s>.\n", "8195"),
        ("Welcome to KEKCC\nJob <7> is submitted to queue <l>.\n", "7"),
    ],
)
def test_bsub_says_which_number_it_gave(said: str, number: str) -> None:
    assert lsf_output.submitted(said) == number


@pytest.mark.parametrize(
    "said", ["", "normal: No such queue. Job not submitted.\n", "Job <> is submitted to queue <s>."]
)
def test_bsub_that_gives_no_number_has_submitted_nothing_that_is_known(said: str) -> None:
    with pytest.raises(NotUnderstood):
        lsf_output.submitted(said)


@pytest.mark.parametrize(
    ("stat", "state"),
    [
        ("PEND", JobState.QUEUED),
        ("PSUSP", JobState.QUEUED),
        ("WAIT", JobState.QUEUED),
        ("RUN", JobState.RUNNING),
        ("USUSP", JobState.RUNNING),
        ("SSUSP", JobState.RUNNING),
        ("DONE", JobState.DONE),
        ("EXIT", JobState.FAILED),
        ("ZOMBI", None),
        ("UNKWN", None),
        ("a state of a later LSF", None),
    ],
)
def test_what_lsf_has_lost_sight_of_is_in_no_state(stat: str, state: JobState | None) -> None:
    (job,) = bjobs(STAT=stat)
    assert (job.batch_id, job.name, job.state) == ("12[3]", "b2cal.a.t.1.0", state)


@pytest.mark.parametrize("stat", ["PSUSP", "USUSP", "SSUSP", "PEND", "RUN", "WAIT"])
def test_a_job_that_is_suspended_says_by_whom_and_any_other_nothing(stat: str) -> None:
    (job,) = bjobs(STAT=stat)
    assert (f"({stat})" in job.reason, bool(job.reason)) == ("SUSP" in stat, "SUSP" in stat)


@pytest.mark.parametrize(
    ("said", "state", "reason"),
    [
        ({"EXIT_CODE": "143", "EXIT_REASON": "TERM_OWNER: job killed by owner"}, JobState.CANCELLED, "TERM_OWNER"),
        ({"EXIT_REASON": "TERM_FORCE_ADMIN: job killed by root"}, JobState.CANCELLED, "TERM_FORCE_ADMIN"),
        ({"EXIT_CODE": "137", "EXIT_REASON": "TERM_MEMLIMIT: killed"}, JobState.FAILED, "LSF: TERM_MEMLIMIT: killed"),
        ({"EXIT_CODE": "1", "EXIT_REASON": "-"}, JobState.FAILED, "LSF: exit code 1"),
        ({"EXIT_CODE": "-", "EXIT_REASON": ""}, JobState.FAILED, ""),
    ],
)
def test_a_job_that_somebody_killed_was_cancelled_and_any_other_has_failed(
    said: dict[str, str], state: JobState, reason: str
) -> None:
    (job,) = bjobs(STAT="EXIT", **said)
    assert job.state is state
    assert reason in job.reason


def test_a_record_of_a_job_that_does_not_exist_is_none() -> None:
    text = json.dumps({"COMMAND": "bjobs", "JOBS": 0, "RECORDS": [{"JOBID": "9", "ERROR": "Job <9> is not found"}]})
    assert lsf_output.jobs(text) == []


@given(ANY_JSON | st.fixed_dictionaries({"RECORDS": st.lists(RECORD, max_size=4)}))
def test_whatever_bjobs_says_is_jobs_or_not_understood(said: Any) -> None:
    try:
        told = lsf_output.jobs(json.dumps(said))
    except NotUnderstood:
        return
    assert all(job.batch_id[0].isdigit() for job in told)


HISTORY = """
Job <12[1]>, Job Name <b2cal.0123abcd.0123456789abcdef0123456789abcdef.1.0[1]>,
                      User <prod>, Project <default>, Command <sh /ghi/fs02/b2c
                     al/lsf-0.sh>
Fri Nov 27 10:00:00: Submitted from host <login01>, to Queue <l>, CWD <$HOME>;
Fri Nov 27 10:00:01: Dispatched 1 Task(s) on Host(s) <cw001>, Allocated 1 Slot
                     (s) on Host(s) <cw001>, Effective RES_REQ <select[type ==
                      any] order[r15s:pg] >;
Fri Nov 27 10:00:01: Starting (Pid 4711);
{ending}
Summary of time in seconds spent in various states by  Fri Nov 27 10:00:05
  PEND     PSUSP    RUN      USUSP    SSUSP    UNKWN    TOTAL
  1        0        4        0        0        0        5
------------------------------------------------------------------------------
"""


@pytest.mark.parametrize(
    ("ending", "state", "reason"),
    [
        ("", JobState.RUNNING, ""),
        ("Fri Nov 27 10:00:05: Done successfully. The CPU time used is 0.1 seconds;", JobState.DONE, ""),
        ("Fri Nov 27 10:00:05: Exited with exit code 7. The CPU time used is 0.1 seconds;", JobState.FAILED, "code 7"),
        (
            (
                "Fri Nov 27 10:00:04: Signal <KILL> requested by user or administrator <prod>;\n"
                "Fri Nov 27 10:00:05: Exited with exit code 143. The CPU time used is 0.1 seconds\n"
                "                     ;\n"
                "Fri Nov 27 10:00:05: Completed <exit>; TERM_OWNER: job killed by owner;"
            ),
            JobState.CANCELLED,
            "TERM_OWNER",
        ),
        (
            (
                "Fri Nov 27 10:00:05 2026: Exited; TERM_MEMLIMIT: job killed after reaching LSF m\n"
                "                     emory usage limit;"
            ),
            JobState.FAILED,
            "TERM_MEMLIMIT: job killed after reaching LSF memory usage limit",
        ),
        (
            (
                "Fri Nov 27 10:00:02: Exited with exit code 74. The CPU time used is 0.1 seconds;\n"
                "Fri Nov 27 10:00:02: Requeue;\n"
                "Fri Nov 27 10:00:03: Starting (Pid 4712);"
            ),
            JobState.RUNNING,
            "",
        ),
    ],
    ids=["runs", "done", "exit", "killed", "memory", "requeued"],
)
def test_the_history_of_a_job_comes_to_its_last_state(ending: str, state: JobState, reason: str) -> None:
    (job,) = lsf_output.histories(HISTORY.format(ending=ending))
    assert job.batch_id == "12[1]"
    assert job.name == "b2cal.0123abcd.0123456789abcdef0123456789abcdef.1.0"
    assert job.state is state
    assert reason in job.reason


def test_of_several_jobs_each_has_its_own_history() -> None:
    done = HISTORY.format(ending="Fri Nov 27 10:00:05: Done successfully. The CPU time used is 0.1 seconds;")
    text = done + HISTORY.format(ending="").replace("[1]", "[2]")
    assert [(job.batch_id, job.state) for job in lsf_output.histories(text)] == [
        ("12[1]", JobState.DONE),
        ("12[2]", JobState.RUNNING),
    ]


@given(st.text(max_size=300) | st.lists(st.sampled_from(HISTORY.splitlines()), max_size=12).map("\n".join))
def test_whatever_bhist_says_gives_jobs_with_numbers(said: str) -> None:
    assert all(job.batch_id[0].isdigit() for job in lsf_output.histories(said))


@given(st.text(max_size=100))
def test_what_bkill_says_is_refused_or_not(said: str) -> None:
    assert all(line.strip() for line in lsf_output.refusals(said))


def test_only_what_was_not_killed_is_refused() -> None:
    said = (
        "Job <12[1]> is being terminated\nJob <12[2]>: Job has already finished\nJob <99>: No matching job found\n"
        "Job <13>: User permission denied\n"
    )
    assert lsf_output.refusals(said) == ["Job <13>: User permission denied"]
