"""How much of a run range has arrived, stream by stream."""

from pathlib import Path

from sqlalchemy.orm import Session

from b2cal import data
from b2cal.core.iov import ExpRun
from b2cal.model import DataFormat, UnreadableFile, now
from tests import factories
from tests.data.catalogues import file, run


def test_runs_are_complete_partial_or_without_files_and_what_cannot_be_read_does_not_count(tmp_path: Path) -> None:
    database = factories.database(tmp_path)

    def unit(db: Session) -> None:
        for number in range(1, 6):
            run(db, number, expected={"bhabha": 100, "hadron": 50})
        file(db, 1)
        file(db, 2, n_events=40)
        file(db, 3, path="/data/damaged")
        db.add(UnreadableFile(path="/data/damaged", reason="it is empty", seen_at=now(db)))
        file(db, 4)
        attempt = factories.attempt(db)
        file(db, 4, path="/cdst/4", format=DataFormat.CDST, attempt_id=attempt.id)
        file(db, 5)  # beyond the range

    database.write(unit)
    with database.read() as db:
        found = data.arrival(db, ExpRun(26, 1).number, ExpRun(26, 4).number)
        later = data.arrival(db, ExpRun(26, 1).number, ExpRun(26, 9).number)
    database.dispose()
    bhabha, hadron = found.streams
    assert (bhabha.stream, bhabha.complete, bhabha.partial, bhabha.none) == ("bhabha", 2, 1, 1)
    assert (bhabha.n_files, bhabha.n_events, bhabha.expected_events) == (3, 240, 400)
    assert (hadron.stream, hadron.complete, hadron.partial, hadron.none, hadron.last_at) == ("hadron", 0, 0, 4, None)
    assert (found.n_runs, found.awaited) == (4, None)
    assert later.awaited == (ExpRun(26, 5), ExpRun(26, 9))
