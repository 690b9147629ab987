"""A page asks the database a fixed number of questions, however much there is to show."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from b2cal.core.iov import OPEN, ExpRun
from b2cal.model import (
    Calibration,
    Database,
    Decision,
    GlobalTag,
    Job,
    JobGroup,
    JobState,
    Processing,
    Role,
    Run,
    State,
    TagIov,
)
from tests import factories

from .conftest import Browser

Find = Callable[..., Calibration]


@contextmanager
def counted(database: Database) -> Iterator[list[str]]:
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        asked.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    yield asked
    event.remove(database.engine, "before_cursor_execute", note)


def more_of_everything(db: Session) -> None:
    """Twenty times more jobs, decisions, runs, IoVs, processings; twice as many calibrations."""
    processing = db.scalars(select(Processing).where(Processing.name == "bucket23")).one()
    for number in range(16):
        it = factories.calibration(
            db, processing, f"Extra {number}", state=State.SIGNED_OFF, upstream=["Channel masks"]
        )
        factories.group(db, factories.attempt(db, it), 1)
    tag = db.scalars(select(GlobalTag).where(GlobalTag.name == "prompt")).one()
    payload = db.scalars(select(TagIov)).first()
    assert payload is not None
    group = db.scalars(select(JobGroup).join(Job).where(Job.error != "")).first()
    assert group is not None
    for number in range(60):
        first = ExpRun(27, number).number
        db.add(TagIov(tag_id=tag.id, name=f"New{number}", payload_id=payload.payload_id, first=first, last=OPEN))
        db.add(
            Run(exprun=first, started_at=processing.created_at, duration_s=60, n_events=1, attributes={}, expected={})
        )
        factories.job(db, group, 1000 + number, state=JobState.FAILED, error=f"error {number}")
        factories.processing(db, name=f"old{number}", release=processing.release, base_tag=tag)
        db.add(
            Decision(
                processing_id=processing.id, calibration_id=group.attempt.calibration_id, at=processing.created_at,
                actor="tracking", role=Role.EXPERT, verb="submit", from_state="open", to_state="open", reason="", seen="",
                details={},
            )
        )  # fmt: skip


@pytest.mark.parametrize(
    "page",
    [
        "/",
        "/processings",
        "/processings/bucket23",
        "/tags",
        "/tags/prompt",
        "/data",
        "/decisions",
        "it",
        "it/jobs",
        "it/inputs",
    ],
)
def test_more_rows_are_no_more_questions(expert: Browser, database: Database, find: Find, page: str) -> None:
    where = page.replace("it", f"/calibrations/{find('x-t relation').id}", 1) if page.startswith("it") else page
    expert.get(where)
    with counted(database) as before:
        assert expert.get(where).status_code == 200
    database.write(more_of_everything)
    with counted(database) as after:
        assert expert.get(where).status_code == 200
    assert len(before) <= 45
    assert len(after) <= len(before) + 1, [statement for statement in after if after.count(statement) > 5][:1]
