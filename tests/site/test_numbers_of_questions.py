"""A page asks the database a fixed number of questions, however much there is to show."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
        factories.incident(db, about=f"host{number}", live=None, probe={"attempt": group.attempt_id})
        db.add(
            Decision(
                processing_id=processing.id,
                calibration_id=group.attempt.calibration_id,
                at=processing.created_at,
                actor="tracking",
                role=Role.EXPERT,
                verb="submit",
                from_state="open",
                to_state="open",
                reason="",
                seen="",
                details={},
            )
        )


def test_more_rows_are_no_more_questions(expert: Browser, database: Database, find: Find) -> None:
    it = f"/calibrations/{find('x-t relation').id}"
    pages = ["/", "/processings", "/processings/bucket23", "/tags", "/tags/prompt", "/data", "/decisions", "/incidents"]
    pages += [it, f"{it}/jobs", f"{it}/inputs"]

    def questions(page: str) -> list[str]:
        with counted(database) as asked:
            assert expert.get(page).status_code == 200
        return asked

    before = {page: len(questions(page)) for page in pages}
    assert max(before.values()) <= 48, before
    database.write(more_of_everything)
    for page in pages:
        after = questions(page)
        assert len(after) <= before[page] + 1, (page, [text for text in after if after.count(text) > 5][:1])


def test_the_form_of_a_rejected_calibration_looks_its_inputs_up_once(
    expert: Browser, database: Database, find: Find
) -> None:
    it = find("x-t relation")
    expert.post(f"/calibrations/{it.id}/do/reject", seen=str(it.version), reason="again")
    with counted(database) as asked:
        assert 'id="rejected"' in expert.get(f"/calibrations/{it.id}/submit").text
    assert len([statement for statement in asked if "FROM data_file" in statement]) == 1
