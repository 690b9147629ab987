"""What one look, one pass and one start cost in a processing of full size, on SQLite in a temporary folder.

    python -m benchmarks.processing_of_full_size

100 calibrations in five layers, five of them vetoed with a fallback; 5,000 runs with two files each; a base tag and a
fallback tag of 10,000 IoVs each, of which those count that share runs with the processing.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Connection, event, insert, select
from sqlalchemy.orm import Session

from b2cal import conditions, loop
from b2cal.core.checksums import digest
from b2cal.core.clock import SystemClock
from b2cal.core.iov import OPEN, ExpRun, IoV
from b2cal.loop import Act, Actor, NewProcessing, ProcessingView
from b2cal.model import (
    Calibration,
    Database,
    DataFile,
    Definition,
    DefinitionPayload,
    GlobalTag,
    Kind,
    Person,
    Release,
    Role,
    Run,
    Step,
    TagIov,
    migrate,
    now,
)
from b2cal.settings import Settings
from benchmarks.conditions import where_and_when

N_CALIBRATIONS, N_LAYERS, N_VETOED = 100, 5, 5
N_RUNS, N_FILES = 5_000, 2
N_IOVS = 10_000
EXPERIMENT = 26
MANAGER = Actor("manager", Role.MANAGER)
NAME = "full-size"


class Locked:
    """How long the one writer was kept busy, unit by unit."""

    def __init__(self, database: Database) -> None:
        self.units_s: list[float] = []
        self._since = 0.0
        event.listen(database.engine, "begin", self._begin)
        event.listen(database.engine, "commit", self._end)

    def _begin(self, connection: Connection) -> None:
        self._since = time.perf_counter() if connection.get_execution_options().get("b2cal_write") else 0.0

    def _end(self, _connection: Connection) -> None:
        if self._since:
            self.units_s.append(time.perf_counter() - self._since)


def main() -> None:
    """Print a line for each thing that is measured."""
    print(where_and_when())
    with TemporaryDirectory() as folder:
        workplace = furnished(Settings(home=Path(folder)))
        database = workplace.database
        first = [name(number) for number in range(N_VETOED, per_layer())]
        everybody = names(database)
        with measured("freshness of all calibrations, in one look"):
            look(database)
        with measured(f"a pass of advance over {len(everybody)} calibrations, nothing due"):
            advance(workplace, everybody)
        database.write(lambda db: submit(db, first))
        locked = Locked(database)
        with measured(f"{len(first)} starts, each with {N_RUNS:,} runs and {N_RUNS * N_FILES:,} files"):
            advance(workplace, first)
        tell("of these the longest time that others wait to write", max(locked.units_s))
        database.write(lambda db: submit(db, everybody[per_layer() :]))
        with measured("freshness of all calibrations, in one look"):
            look(database)
        with measured(f"a pass of advance over {len(everybody)} calibrations, where most wait for others"):
            advance(workplace, everybody)
        database.dispose()


@contextmanager
def measured(what: str) -> Iterator[None]:
    """Print how long it took."""
    began = time.perf_counter()
    yield
    tell(what, time.perf_counter() - began)


def tell(what: str, seconds: float) -> None:
    """Print one figure."""
    print(f"{seconds:8.3f} s  {what}")


def look(database: Database) -> None:
    """What every page of a processing and every step asks."""
    with database.read() as db:
        view = ProcessingView.of(db, NAME)
        assert all(view.standing(it).freshness is loop.Freshness.FRESH for it in view.calibrations)


def advance(workplace: loop.Workplace, calibrations: list[str]) -> None:
    """One pass, as the DAG does it."""
    for it in calibrations:
        loop.advance(workplace, NAME, it)


def submit(db: Session, calibrations: list[str]) -> None:
    """By the manager, all at once."""
    for it in db.scalars(select(Calibration).where(Calibration.name.in_(calibrations))):
        loop.submit(db, it.id, loop.Choice(), Act(MANAGER, it.version))


def names(database: Database) -> list[str]:
    """All calibrations that are not vetoed, upstream first."""
    with database.read() as db:
        return [it.name for it in db.scalars(select(Calibration).order_by(Calibration.id)) if it.state != "vetoed"]


def name(number: int) -> str:
    """Of a calibration; its payload has the same."""
    return f"Calibration {number:03}"


def per_layer() -> int:
    """How many calibrations do not wait for each other."""
    return N_CALIBRATIONS // N_LAYERS


# --- what there is before anything is measured -----------------------------------------------------------------------


def furnished(settings: Settings) -> loop.Workplace:
    """A home with an active processing, all windows open."""
    migrate(settings.url)
    database = Database(settings.url, SystemClock())
    for unit in (people_and_release, runs, files, lambda db: tag(db, "base"), lambda db: tag(db, "fallback")):
        database.write(unit)
    database.write(begin)
    database.write(veto)
    return loop.Workplace(settings, database)


def people_and_release(db: Session) -> None:
    """One release; each calibration reads all of the layer before."""
    db.add(Person(username="manager", full_name="Manager", role=Role.MANAGER, password_hash="of a password"))
    vocabulary = {"Data Quality Tag": ["Good"], "Data Tag": ["bhabha"]}
    release = Release(name="toy", digest="0" * 64, interpreter="", vocabulary=vocabulary, added_at=now(db))
    db.add(release)
    db.flush()
    for number in range(N_CALIBRATIONS):
        layer = number // per_layer()
        before = [name(other) for other in range(number) if other // per_layer() == layer - 1]
        db.add(definition(release, name(number), before))
    db.flush()
    for row in db.scalars(select(Definition)).all():
        db.add(DefinitionPayload(release_id=release.id, payload_name=row.name, definition_id=row.id))


def definition(release: Release, called: str, depends_on: list[str]) -> Definition:
    """A calibration that takes all runs."""
    settings = {
        "name": called,
        "input_data_formats": ["raw"],
        "input_data_names": ["bhabha"],
        "input_data_filters": {"bhabha": ["Good", "bhabha"]},
        "depends_on": depends_on,
        "expert_config": {},
    }
    return Definition(
        release_id=release.id,
        name=called,
        module="toy",
        step=Step.PRE_TRACKING,
        kind=Kind.CALIBRATE,
        expert="manager",
        settings=settings,
        config_schema={"type": "object"},
        traits={"strategy": "single", "max_iterations": 1, "limits": {}, "carried_over": []},
    )


def run(number: int) -> int:
    """The place of a run of the processing on the number line."""
    return ExpRun(EXPERIMENT, number + 1).number


def runs(db: Session) -> None:
    """All good."""
    facts = {"started_at": now(db), "duration_s": 60.0, "n_events": 2000}
    said = {"attributes": {"Data Quality Tag": ["Good"]}, "expected": {"bhabha": 2000}}
    db.execute(insert(Run), [{"exprun": run(number), **facts, **said} for number in range(N_RUNS)])


def files(db: Session) -> None:
    """All complete."""
    facts = {"data_name": "bhabha", "format": "raw", "n_events": 1000, "size_bytes": 10**9, "mtime_ns": 1}
    rows = [
        {"path": f"/data/{number}_{part}.root", "exprun": run(number), "sha256": digest([number, part])}
        for number in range(N_RUNS)
        for part in range(N_FILES)
    ]
    db.execute(insert(DataFile), [{**row, **facts, "registered_at": now(db)} for row in rows])


def tag(db: Session, called: str) -> None:
    """IoVs of all payloads: most before the processing, some within, the last one open."""
    tag_id = conditions.create_tag(db, called)
    of_each = N_IOVS // N_CALIBRATIONS
    firsts = [ExpRun(1, 1 + number).number for number in range(of_each - 5)]
    firsts += [run(number) for number in range(0, N_RUNS, N_RUNS // 5)]
    for number in range(N_CALIBRATIONS):
        identity = digest([called, number])
        payload_id = conditions.store_payload(db, name(number), identity, identity, 1)
        lasts = [first - 1 for first in firsts[1:]] + [OPEN]
        rows = [{"first": first, "last": last} for first, last in zip(firsts, lasts, strict=True)]
        same = {"tag_id": tag_id, "name": name(number), "payload_id": payload_id}
        db.execute(insert(TagIov), [{**row, **same} for row in rows])


def begin(db: Session) -> None:
    """Activate the processing."""
    target = db.get_one(GlobalTag, conditions.create_tag(db, "target")).name
    span = IoV(ExpRun(EXPERIMENT, 1), ExpRun(EXPERIMENT, N_RUNS))
    wanted = NewProcessing(NAME, span, release="toy", manager="manager", base_tag="base", target_tag=target)
    planned = loop.create_processing(db, wanted)
    loop.activate(db, planned.id, loop.Room(), Act(MANAGER, planned.version))


def veto(db: Session) -> None:
    """The first few, which everything else needs."""
    wanted = [name(number) for number in range(N_VETOED)]
    for it in db.scalars(select(Calibration).where(Calibration.name.in_(wanted))).all():
        loop.veto(db, it.id, Act(MANAGER, it.version, "no data"), fallback_tag="fallback")


if __name__ == "__main__":
    main()
