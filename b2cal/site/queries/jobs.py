"""Batch jobs: tables of them, and one with all its tries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from b2cal import loop
from b2cal.batch import retry_policy
from b2cal.model import Attempt, Calibration, Job, JobGroup, Processing
from b2cal.settings import Settings

PAGE = 100


@dataclass(frozen=True)
class Asked:
    """What the address of a page asks for."""

    wanted: loop.JobFilter
    order: loop.JobOrder
    after: str


@dataclass(frozen=True)
class JobTable:
    """A page of jobs of a processing, with what stands beside each of them.

    Attributes:
        tries: the other tries of those that were tried more than once, by id.
        usual_mb: memory of a job that asks for none; None: its centre gives out none.
    """

    asked: Asked
    page: loop.JobPage
    tries: Mapping[int, Sequence[Job]]
    usual_mb: int | None


def job_table(
    db: Session, settings: Settings, processing: Processing, attempts: Sequence[int], asked: Asked
) -> JobTable:
    """Jobs of some attempts of a processing.

    Raises:
        InvalidChoice: they cannot be gone on with from there.
    """
    page = loop.job_page(db, attempts, asked.wanted, asked.order, asked.after, PAGE)
    usual_mb = retry_policy(settings, processing.centre).memory_mb
    return JobTable(asked, page, loop.other_tries(db, page.jobs), usual_mb)


def job_of(db: Session, number: int) -> tuple[Job, Calibration]:
    """A job and the calibration that it works for.

    Raises:
        NotFound: there is none of this number.
    """
    row = db.execute(
        select(Job, Calibration)
        .join(JobGroup, JobGroup.id == Job.group_id)
        .join(Attempt, Attempt.id == JobGroup.attempt_id)
        .join(Calibration, Calibration.id == Attempt.calibration_id)
        .where(Job.id == number)
        .options(joinedload(Job.group).joinedload(JobGroup.attempt), joinedload(Calibration.processing))
    ).one_or_none()
    if row is None:
        raise loop.NotFound(f"There is no job number {number}.", hint="Look for it on the page of its calibration.")
    return row[0], row[1]
