"""What may exist only once is refused by the database itself, whoever writes it."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from b2cal.model import Attempt, Database, Decision, Outbox, Role, StandingVeto, Submission, now
from tests import factories


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    database = factories.database(tmp_path_factory.mktemp("invariants"))
    yield database
    database.dispose()


@pytest.fixture
def db(database: Database) -> Iterator[Session]:
    """A transaction that is undone at the end."""
    with database.read() as db:
        yield db


Maker = Callable[..., object]


def submissions(db: Session) -> Maker:
    it = factories.calibration(db)
    same = {"config": {}, "selection": {}, "submitted_by": "tracking", "automatic": False, "submitted_at": now(db)}
    return lambda **columns: db.add(Submission(calibration_id=it.id, **{**same, **columns}))


def attempts(db: Session) -> Maker:
    its = factories.submission(db)
    same = {"submission_id": its.id, "combination": "0" * 64, "runs": [], "started_at": now(db)}
    return lambda **columns: db.add(Attempt(calibration_id=its.calibration_id, **{**same, **columns}))


def standing_vetoes(db: Session) -> Maker:
    same = {"name": "Alignment", "reason": "", "begun_by": "manager", "begun_at": now(db)}
    return lambda number, **columns: db.add(StandingVeto(id=number, **same, **columns))


@pytest.mark.parametrize("rows", [submissions, attempts, standing_vetoes])
def test_of_those_that_are_superseded_there_may_be_many_but_only_one_counts(
    db: Session, rows: Callable[[Session], Maker]
) -> None:
    add = rows(db)
    for number in (1, 2, 3):
        add(number=number, live=None)
    add(number=4, live=True)
    db.flush()
    add(number=5, live=True)
    with pytest.raises(IntegrityError, match="UNIQUE"):
        db.flush()


@pytest.mark.parametrize("rows", [submissions, attempts, standing_vetoes])
def test_no_other_marker_than_true_or_none_stands_beside_the_one_that_counts(
    db: Session, rows: Callable[[Session], Maker]
) -> None:
    rows(db)(number=1, live=False)
    with pytest.raises(IntegrityError, match="CHECK"):
        db.flush()


def twice(make: Callable[[Session], object]) -> Callable[[Session], object]:
    return lambda db: (make(db), make(db))


def decision(db: Session, **about: int) -> None:
    facts = {"at": now(db), "actor": "manager", "role": Role.MANAGER, "verb": "veto", "from_state": "", "to_state": ""}
    db.add(Decision(**facts, reason="", seen="", details={}, **about))


def two_clicks_with_one_key(db: Session) -> None:
    number = factories.processing(db).id
    decision(db, processing_id=number, request_key="form-1")
    decision(db, processing_id=number, request_key="form-1")


def two_calibrations_of_one_definition(db: Session) -> None:
    processing = factories.processing(db)
    definition = factories.definition(db)
    for name in ("one", "other"):
        factories.calibration(db, processing, name, definition=definition)


def two_groups_of_one_stage(db: Session) -> None:
    attempt = factories.attempt(db)
    factories.group(db, attempt)
    factories.group(db, attempt)


def two_jobs_of_one_number(db: Session) -> None:
    group = factories.group(db, jobs=1)
    factories.job(db, group, 0)


@pytest.mark.parametrize(
    "write",
    [
        twice(lambda db: factories.processing(db, name="bucket1")),
        twice(lambda db: factories.group(db, token="f" * 32)),
        twice(lambda db: factories.tag(db, "main")),
        twice(lambda db: db.add(Outbox(key="graph:1", kind="graph", about="1", body={}, created_at=now(db)))),
        two_clicks_with_one_key,
        two_calibrations_of_one_definition,
        two_groups_of_one_stage,
        two_jobs_of_one_number,
    ],
    ids=["processing", "token", "tag", "outbox", "click", "definition", "stage", "job"],
)
def test_what_has_a_key_exists_once(db: Session, write: Callable[[Session], object]) -> None:
    def written() -> None:
        write(db)
        db.flush()

    with pytest.raises(IntegrityError, match="UNIQUE"):
        written()


@pytest.mark.parametrize("both", [True, False])
def test_a_decision_is_about_a_processing_or_about_a_tag(db: Session, both: bool) -> None:
    about = {"processing_id": factories.processing(db).id, "tag_id": factories.tag(db).id}
    decision(db, **about if both else {})
    with pytest.raises(IntegrityError, match="CHECK"):
        db.flush()
