"""Tables of jobs, page by page: every job once, whatever happens between two pages, and little read for each."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, insert, select, update
from sqlalchemy.orm import Session

from b2cal.core.failures import Source
from b2cal.loop import (
    InvalidChoice,
    JobFilter,
    JobOrder,
    JobPage,
    JobWord,
    attempts_of,
    held_jobs,
    job_page,
    job_word,
    other_tries,
    stages_of,
    together,
)
from b2cal.model import Database, GroupState, Job, JobGroup, JobState, Stage, now
from tests import factories
from tests.loop.world import World

EVERYTHING = JobFilter()
N_JOBS = 130


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return World(tmp_path).database


def filled(db: Session, n_jobs: int = N_JOBS) -> int:
    """An attempt whose jobs collected and were tried again, fit and wait; many are alike in what orders them."""
    attempt = factories.attempt(db)
    collect = factories.group(db, attempt, 0, state=GroupState.SUBMITTED, epoch=1)
    again = factories.group(db, attempt, 0, round=1, state=GroupState.SUBMITTED, epoch=1)
    fit = factories.group(db, attempt, 0, stage=Stage.FIT)
    states = [JobState.DONE, JobState.RUNNING, JobState.QUEUED, JobState.FAILED]
    rows = [
        {
            "group_id": collect.id,
            "number": number,
            "label": f"run e26r{number}",
            "spec": {"input_files": ["x" * 100]},
            "state": (state := states[number % 4]),
            "host": f"node{number % 3}",
            "error": "100% of its Memory" if state is JobState.FAILED else "",
            "source": Source.HOLD if number % 8 == 3 else Source.EXIT if state is JobState.FAILED else None,
            "started_at": None if state is JobState.QUEUED else now(db) + timedelta(microseconds=number // 7),
            "cpu_s": number % 5 / 10 + 0.123 if state.ended else None,
            "memory_bytes": 10**9 + number % 6 if state.ended else None,
        }
        for number in range(n_jobs)
    ]
    db.execute(insert(Job), rows)
    factories.job(db, again, 3)
    factories.job(db, fit, 0)
    return attempt.id


def pages(
    database: Database, attempt: int, order: JobOrder, between: Callable[[Session], None] = lambda _: None
) -> list[JobPage]:
    found, after = [], ""
    while not found or not found[-1].is_last:
        with database.read() as db:
            found.append(job_page(db, [attempt], EVERYTHING, order, after, 20))
            db.expunge_all()
        after = found[-1].after or ""
        database.write(between)
    return found


def test_pages_put_together_are_the_whole_table(database: Database) -> None:
    attempt = database.write(filled)
    for order in JobOrder:
        with database.read() as db:
            whole = [job.id for job in job_page(db, [attempt], EVERYTHING, order).jobs]
        found = pages(database, attempt, order)
        assert [job.id for page in found for job in page.jobs] == whole, order
        assert len(set(whole)) == N_JOBS + 2
        assert [len(page.jobs) for page in found] == [20] * 6 + [12]


@pytest.mark.parametrize("order", JobOrder)
def test_jobs_that_change_between_two_pages_neither_hide_nor_repeat_others(database: Database, order: JobOrder) -> None:
    attempt = database.write(filled)
    with database.read() as db:
        still = {job.id for job in job_page(db, [attempt], JobFilter(state=JobState.DONE)).jobs}

    def end_some_and_try_again(db: Session) -> None:
        running = Job.state == JobState.RUNNING
        some = Job.number % 3 == db.query(JobGroup).count() % 3
        values = {"state": JobState.FAILED, "cpu_s": 0.3, "memory_bytes": 10**9 + 3, "ended_at": now(db)}
        db.execute(update(Job).where(running, some).values(values))
        factories.group(db, db.query(JobGroup).first().attempt, 1, round=db.query(JobGroup).count())

    seen = [job.id for page in pages(database, attempt, order, end_some_and_try_again) for job in page.jobs]
    assert len(seen) == len(set(seen))
    assert still <= set(seen)


def test_orders_are_what_they_say(database: Database) -> None:
    attempt = database.write(filled)
    with database.read() as db:
        by = {order: job_page(db, [attempt], EVERYTHING, order).jobs for order in JobOrder}
        assert [job.group.stage for job in by[JobOrder.NUMBER]][:2] == [Stage.FIT, Stage.COLLECT]
        assert [job.number for job in by[JobOrder.NUMBER]][1:] == [3, *range(N_JOBS)]
    started = [job.started_at for job in by[JobOrder.STARTED] if job.started_at]
    assert started == sorted(started)
    assert by[JobOrder.STARTED][-1].started_at is None
    for order, value in ((JobOrder.CPU, "cpu_s"), (JobOrder.MEMORY, "memory_bytes")):
        values = [getattr(job, value) for job in by[order]]
        known = [one for one in values if one is not None]
        assert known == sorted(known, reverse=True)
        assert values[: len(known)] == known


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (JobFilter(state=JobState.FAILED), lambda job: job.state is JobState.FAILED),
        (JobFilter(stage=Stage.FIT), lambda job: job.group.stage is Stage.FIT),
        (JobFilter(source=Source.HOLD), lambda job: job.source is Source.HOLD),
        (JobFilter(host="NODE1"), lambda job: job.host == "node1"),
        (JobFilter(text="100% of its memory"), lambda job: job.state is JobState.FAILED),
        (JobFilter(text="100_"), lambda _: False),
        (JobFilter(text="R12"), lambda job: "r12" in job.label),
        (JobFilter(JobState.FAILED, host="node2", source=Source.EXIT), lambda job: job.number % 24 == 23),
    ],
    ids=["state", "stage", "source", "host", "text", "no wildcard", "label", "several"],
)
def test_a_filter_leaves_what_fits_and_counts_it_by_state(
    database: Database, wanted: JobFilter, fits: Callable[[Job], bool]
) -> None:
    attempt = database.write(filled)
    with database.read() as db:
        everything = job_page(db, [attempt], EVERYTHING).jobs
        page = job_page(db, [attempt], wanted)
        assert [job.id for job in page.jobs] == [job.id for job in everything if fits(job)]
        assert page.total(wanted.state) == len(page.jobs)
        if wanted.state is not None and not wanted.is_narrow:
            assert page.total(None) == len(everything)


def test_jobs_that_do_not_go_on_by_themselves_are_held_and_nothing_else_in_filter_counts_and_sums(
    database: Database,
) -> None:
    def unit(db: Session) -> tuple[int, int]:
        attempt = filled(db)
        first = update(Job).where(Job.group_id == db.scalars(select(JobGroup.id)).first())
        db.execute(first.where(Job.number.in_([1, 2])).values(pending_reason="Held by HTCondor, code 1/0: by alice"))
        asking = db.scalars(select(JobGroup).where(JobGroup.round == 1)).one()
        asking.state, asking.asks_since = GroupState.WANTED, now(db)
        return attempt, asking.attempt.calibration.processing_id

    attempt, processing = database.write(unit)
    with database.read() as db:
        pages = {word: job_page(db, [attempt], JobFilter(state=word)) for word in JobWord}
        held = pages[JobWord.HELD].jobs
        assert sorted((job.group.round, job.number) for job in held) == [(0, 1), (0, 2), (1, 3)]
        for word, page in pages.items():
            assert [job_word(job) for job in page.jobs] == [word] * page.total(word)
        assert sum(pages[JobWord.HELD].counts.values()) == N_JOBS + 2
        assert held_jobs(db, [processing, processing + 1]) == {processing: 3}
        jobs = together(stage.jobs for stage in stages_of(db, [attempt]))
        queued, running = pages[JobWord.QUEUED].counts[JobWord.QUEUED], pages[JobWord.QUEUED].counts[JobWord.RUNNING]
        assert (jobs.held, jobs.queued, jobs.running) == (3, queued, running)


def test_other_tries_of_a_job_are_found_and_those_of_others_are_not(database: Database) -> None:
    attempt = database.write(filled)
    with database.read() as db:
        page = job_page(db, [attempt], EVERYTHING)
        tries = other_tries(db, page.jobs)
        third, third_again = (job for job in page.jobs if job.number == 3)
        assert {job: [one.id for one in others] for job, others in tries.items()} == {
            third.id: [third_again.id],
            third_again.id: [third.id],
        }


@pytest.mark.parametrize(
    "after", ["x", "memory:1:2", "number:1", "number:1:", f"number:{2**63}:1", f"number:{'9' * 5000}:1"]
)
def test_a_cursor_of_another_table_is_refused(database: Database, after: str) -> None:
    with database.read() as db, pytest.raises(InvalidChoice, match="no place in a table of jobs by number") as it:
        job_page(db, [1], EVERYTHING, JobOrder.NUMBER, after)
    assert "the same order" in it.value.hint


@pytest.mark.parametrize("moment", ["yesterday", "0001-01-01T00:00:00+14:00", "-1"])
def test_a_cursor_that_is_no_moment_is_refused(database: Database, moment: str) -> None:
    with database.read() as db, pytest.raises(InvalidChoice):
        job_page(db, [1], EVERYTHING, JobOrder.STARTED, f"started:{moment}:1")


def test_a_page_of_5000_jobs_reads_the_rows_of_a_page(database: Database) -> None:
    attempt = database.write(lambda db: filled(db, 5000))
    for order in JobOrder:
        reads_the_rows_of_a_page(database, attempt, order)


def reads_the_rows_of_a_page(database: Database, attempt: int, order: JobOrder) -> None:
    """What is asked and loaded for the second page in this order and for the tries of its jobs."""
    asked: list[str] = []
    loaded: list[Job] = []

    def note_question(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        asked.append(statement)

    def note_job(job: Job, _context: object) -> None:
        loaded.append(job)

    event.listen(database.engine, "before_cursor_execute", note_question)
    event.listen(Job, "load", note_job)
    try:
        with database.read() as db:
            page = job_page(db, [attempt], EVERYTHING, order, limit=100)
            page = job_page(db, [attempt], EVERYTHING, order, page.after or "", limit=100)
            tries = other_tries(db, page.jobs)
            assert len({job.group.attempt.calibration.id for job in page.jobs}) == 1
    finally:
        event.remove(Job, "load", note_job)
    questions = [statement for statement in asked if "FROM job" in statement]
    assert len(questions) == 5  # twice the page and its counts, once the tries
    if database.engine.dialect.name != "sqlite":  # where SQLAlchemy writes an offset of 0 behind every limit
        assert not any("OFFSET" in statement for statement in questions)
    assert len(loaded) <= 2 * 101 + sum(map(len, tries.values())) + 2
    assert not any("spec" in statement for statement in questions)


def test_attempts_are_found_by_number_the_latest_first(database: Database) -> None:
    def unit(db: Session) -> tuple[int, int, int]:
        it = factories.calibration(db)
        return it.id, factories.attempt(db, it).id, factories.attempt(db, it).id

    calibration, first, second = database.write(unit)
    with database.read() as db:
        assert list(attempts_of(db, calibration).items()) == [(2, second), (1, first)]
