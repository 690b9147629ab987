"""A processing to try the rules of the loop on: real verbs and a real database; jobs end when the test says so."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from sqlalchemy import event, func, select
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from b2cal import conditions, loop
from b2cal.conditions import Entry, FileCheck, StoredFile
from b2cal.core.checksums import digest
from b2cal.core.clock import ManualClock
from b2cal.core.iov import ExpRun, IoV
from b2cal.data import NewFile
from b2cal.loop import (
    THE_LOOP,
    Act,
    Actor,
    ByHand,
    Choice,
    NewProcessing,
    ProcessingVerb,
    ProcessingView,
    Workplace,
    judging,
    results,
)
from b2cal.model import (
    Attempt,
    Calibration,
    Database,
    DataFile,
    DataFormat,
    Decision,
    DefinitionPayload,
    Grade,
    GroupState,
    JobGroup,
    JobState,
    Kind,
    Outcome,
    Processing,
    Release,
    Role,
    Run,
    Step,
    now,
)
from b2cal.releases.schema import schema_from_defaults
from b2cal.runtime import Ended, Measurements, ProducedPayload
from b2cal.settings import Settings
from b2cal.validation import Judgement
from tests import factories

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
MANAGER = Actor("manager", Role.MANAGER)


@dataclass(frozen=True)
class Defined:
    """A definition for a test: what it depends on, and its other columns."""

    name: str
    depends_on: tuple[str, ...] = ()
    step: Step = Step.PRE_TRACKING
    kind: Kind = Kind.CALIBRATE
    filters: bool = True
    data_name: str = "bhabha"
    data_format: str = "raw"
    strategy: str = "single"
    subsystem: str | None = None
    carried_over: tuple[str, ...] = ()
    config: Mapping[str, object] = field(default_factory=lambda: {"events": 10})


DIAMOND = (Defined("A"), Defined("B", ("A",)), Defined("C", ("A",)), Defined("D", ("B", "C")))


Definitions = tuple[Defined, ...]

_made = TemporaryDirectory(prefix="b2cal-loop-")
_filled: dict[str, Path] = {}
"""Databases with the rows of a world, by its definitions. Made once: that takes longer than many a test."""


def on_sqlite(folder: Path, definitions: Definitions) -> Settings:
    """A home with the rows of a world in a database that is a file of it."""
    if repr(definitions) not in _filled:
        made = Path(_made.name, str(len(_filled)))
        made.mkdir()
        factories.database(made).dispose()
        fill(Settings(home=made), definitions)
        _filled[repr(definitions)] = made / "b2cal.db"
    shutil.copy(_filled[repr(definitions)], folder / "b2cal.db")
    return Settings(home=folder)


def fill(settings: Settings, definitions: Definitions) -> Settings:
    """Write the rows of a world into an empty database."""
    database = Database(settings.url, ManualClock(START))
    database.write(lambda db: World.fill(db, definitions))
    database.dispose()
    return settings


def filled(home: Callable[[Path], Settings]) -> Callable[[Path, Definitions], Settings]:
    """Homes whose empty databases somebody else makes, with the rows of a world."""
    return lambda folder, definitions: fill(home(folder), definitions)


def _no_power_cut(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    """What a test has written need not outlive the machine: it does not wait for the disk."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=OFF")
    cursor.close()


class World:
    """One release, one tag with constants for all payloads, ten runs with a file each."""

    usual: ClassVar = {"base_tag": "main", "target_tag": "main", "window_s": 100.0, "reject_window_s": 50.0}

    settings_for: ClassVar[Callable[[Path, Definitions], Settings]] = staticmethod(on_sqlite)
    """How a world gets its home, and a database with its rows."""

    def __init__(self, folder: Path, definitions: Definitions = DIAMOND) -> None:
        self.clock = ManualClock(START)
        settings = self.settings_for(folder, definitions)
        self.workplace = Workplace(settings, Database(settings.url, self.clock))
        self.database = self.workplace.database
        if self.database.engine.dialect.name == "sqlite":
            event.listen(self.database.engine, "connect", _no_power_cut)

    @classmethod
    def fill(cls, db: Session, definitions: Definitions) -> None:
        """What every world begins with."""
        factories.agent(db)
        factories.person(db, "manager", role=Role.MANAGER)
        release = factories.release(db, name="toy", vocabulary={"Data Quality Tag": ["Good"], "Data Tag": ["bhabha"]})
        for defined in definitions:
            cls._define(db, release, defined)
        for number in range(100, 110):
            run = ExpRun(26, number).number
            db.add(
                Run(
                    exprun=run,
                    started_at=START,
                    duration_s=60.0,
                    n_events=1000,
                    attributes={"Data Quality Tag": ["Good"]},
                    expected={"bhabha": 1000},
                )
            )
            db.flush()
            db.add(
                DataFile(
                    path=f"/data/bhabha_{number}.root",
                    data_name="bhabha",
                    format=DataFormat.RAW,
                    exprun=run,
                    n_events=1000,
                    size_bytes=1000,
                    mtime_ns=1,
                    sha256=digest(number),
                    registered_at=now(db),
                )
            )
        tag_id = conditions.create_tag(db, "main")
        conditions.publish(db, tag_id, [cls.constants(db, d.name, "old", first=ExpRun(0, 0)) for d in definitions])

    @staticmethod
    def _define(db: Session, release: Release, defined: Defined) -> None:
        settings = {
            "name": defined.name,
            "input_data_formats": [defined.data_format],
            "input_data_names": [defined.data_name],
            "input_data_filters": {defined.data_name: ["Good", "bhabha"]} if defined.filters else {},
            "depends_on": list(defined.depends_on),
            "subsystem": defined.subsystem,
            "expert_config": dict(defined.config),
        }
        row = factories.definition(
            db,
            release,
            defined.name,
            settings=settings,
            step=defined.step,
            kind=defined.kind,
            config_schema=schema_from_defaults(defined.config),
            traits={
                "strategy": defined.strategy,
                "max_iterations": 1,
                "limits": {},
                "carried_over": defined.carried_over,
            },
        )
        db.add(DefinitionPayload(release_id=release.id, payload_name=f"P{defined.name}", definition_id=row.id))
        db.flush()

    @staticmethod
    def constants(db: Session, name: str, value: object, first: ExpRun) -> Entry:
        """The payload of a calibration with some content."""
        identity = digest([name, value])
        payload_id = conditions.store_payload(db, f"P{name}", identity, digest([identity]), 1)
        return Entry(f"P{name}", first.number, IoV(first, None).last_number, payload_id, identity)

    def curated_tag(self, tag: str, name: str) -> tuple[str, str]:
        """A tag with two payloads of a calibration, the second from run 102 on; their identities."""

        def unit(db: Session) -> tuple[str, str]:
            early = self.constants(db, name, "early", first=ExpRun(0, 0))
            late = self.constants(db, name, "late", first=ExpRun(26, 102))
            entries = [replace(early, last=ExpRun(26, 101).number), late]
            conditions.publish(db, conditions.create_tag(db, tag), entries)
            return early.identity, late.identity

        return self.database.write(unit)

    def process(
        self, name: str = "bucket1", first: int = 100, last: int = 104, runs: IoV | None = None, **policies: object
    ) -> None:
        """Create and activate a processing over some runs of experiment 26, or over `runs`."""
        wanted = NewProcessing(
            name=name,
            runs=runs or IoV(ExpRun(26, first), ExpRun(26, last)),
            release="toy",
            manager="manager",
            **{**self.usual, **policies},  # type: ignore[arg-type]
        )

        def unit(db: Session) -> None:
            planned = loop.create_processing(db, wanted)
            loop.activate(db, planned.id, loop.Room(), Act(MANAGER, planned.version))

        self.database.write(unit)

    def tick(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))

    def view(self, db: Session, processing: str = "bucket1") -> ProcessingView:
        return ProcessingView.of(db, processing)

    def state(self, name: str, processing: str = "bucket1") -> str:
        with self.database.read() as db:
            return self.view(db, processing).calibration(name).state.value

    def freshness(self, name: str, processing: str = "bucket1") -> str:
        with self.database.read() as db:
            return self.view(db, processing).standing(name).freshness.value

    def processing(self, name: str = "bucket1") -> Processing:
        with self.database.read() as db:
            return self.view(db, name).processing

    def do(self, verb: str, name: str, *args: object, by: Actor = MANAGER, **kwargs: object) -> None:
        """A verb of a person who has just looked."""
        processing = str(kwargs.pop("processing", "bucket1"))
        act_facts = {key: kwargs.pop(key) for key in ("reason", "request_key") if key in kwargs}

        def unit(db: Session) -> None:
            calibration = self.view(db, processing).calibration(name)
            act = Act(by, calibration.version, **{"reason": "because", **act_facts})  # type: ignore[arg-type]
            choice = (Choice(),) if verb == "submit" and not args else args
            if verb == "veto":
                loop.veto(db, calibration.id, act, **kwargs)  # type: ignore[arg-type]
            else:
                getattr(loop, verb)(db, calibration.id, *choice, act)

        self.database.write(unit)

    def do_to_processing(self, verb: ProcessingVerb, by: Actor = MANAGER, processing: str = "bucket1") -> None:
        """A verb of a person who has just looked at the processing."""
        with self.database.read() as db:
            view = self.view(db, processing)
            it = view.processing
            previewed = (loop.publication_preview(view).fingerprint,) if verb is ProcessingVerb.PUBLISH else ()
        act = Act(by, it.version, "because")
        words = (loop.Room(), act) if verb is ProcessingVerb.ACTIVATE else (act, *previewed)
        self.database.write(lambda db: getattr(loop, verb.value)(db, it.id, *words))

    def add_to_tag(self, tag: str, name: str, value: object, first: int) -> None:
        """A manager puts constants into a tag, from a run of experiment 26 on."""

        def unit(db: Session) -> None:
            it = conditions.tag_named(db, tag)
            entry = self.constants(db, name, value, ExpRun(26, first))
            loop.add_to_tag(db, it, [entry], Act(MANAGER, it.version))

        self.database.write(unit)

    def in_tag(self, tag: str = "main") -> Callable[[str, int], str]:
        """The identity of what a tag holds of a calibration for a run of experiment 26."""
        with self.database.read() as db:
            entries = conditions.tag_entries(db, conditions.tag_named(db, tag).id)

        def identity(name: str, run: int) -> str:
            at = ExpRun(26, run).number
            return next(it.identity for it in entries if it.name == f"P{name}" and it.first <= at <= it.last)

        return identity

    def advance(self, name: str, processing: str = "bucket1") -> loop.Progress:
        return loop.advance(self.workplace, processing, name)

    def jobs_end(
        self, name: str, value: object, processing: str = "bucket1", names_read: set[str] | None = None
    ) -> None:
        """The jobs of a running calibration bring back constants with this content.

        They read the payloads of these names; if nobody says which, all those of its upstream.
        """
        with self.database.read() as db:
            view = self.view(db, processing)
            attempt = view.attempts[name]
            requested = view.requested
            upstream = {read.name for read in attempt.reads if read.producer is not None}
        identity = digest([name, value])
        ended = Ended(
            Outcome.CONSTANTS,
            payloads=(
                ProducedPayload(
                    f"P{name}", requested.first.number, requested.last_number, Path(f"{identity}.root"), identity
                ),
            ),
            names_read=frozenset(upstream if names_read is None else names_read),
        )
        stored = StoredFile(Path(f"{identity}.root"), digest([identity]), 1)
        harvest = results.Harvest(ended, payloads=[(ended.payloads[0], stored)])
        results.write_down(self.workplace, processing, name, attempt.id, harvest)

    def files_made(self, name: str, names_read: set[str]) -> None:
        """The jobs of a running production bring back a file for each run."""
        with self.database.read() as db:
            attempt_id = self.view(db).attempts[name].id
        files = [
            NewFile(f"/cdst/{attempt_id}/{run}.root", "bhabha", ExpRun(26, run).number, 100, 1000, 1, digest(run))
            for run in range(100, 105)
        ]
        harvest = results.Harvest(Ended(Outcome.FILES, names_read=frozenset(names_read)), files=files)
        results.write_down(self.workplace, "bucket1", name, attempt_id, harvest)

    def jobs_fail(self, name: str, processing: str = "bucket1") -> None:
        """The jobs of a running calibration fail; nobody knows what they have read."""
        with self.database.read() as db:
            attempt_id = self.view(db, processing).attempts[name].id
        self.database.write(lambda db: self._end_jobs(db, attempt_id, GroupState.FAILED, JobState.FAILED))
        harvest = results.Harvest(Ended(Outcome.FAILED, "1 of 1 fit jobs failed."))
        results.write_down(self.workplace, processing, name, attempt_id, harvest)

    def jobs_ask(self, name: str, why: str = "the licences are used up") -> None:
        """The jobs of a running calibration have failed, and a retry rule asks about them."""

        def unit(db: Session) -> None:
            its = JobGroup.attempt_id == self.view(db).attempts[name].id
            failed = db.scalars(select(JobGroup).where(its).order_by(JobGroup.id.desc())).first()
            assert failed is not None, "what runs has jobs"
            failed.state = GroupState.FAILED
            for job in failed.jobs:
                job.state = JobState.FAILED
            again = loop.next_round(failed, failed.jobs, now(db), now(db), {}, failed.tries_from)
            db.add(again)
            loop.ask_about_jobs(db, again, why)

        self.database.write(unit)

    def jobs_cancelled(self, name: str) -> None:
        """The agent has cancelled what was left of the jobs of a calibration."""

        def unit(db: Session) -> None:
            self._end_jobs(db, self.view(db).attempts[name].id, GroupState.CANCELLED, JobState.CANCELLED)

        self.database.write(unit)

    @staticmethod
    def _end_jobs(db: Session, attempt_id: int, group_state: GroupState, job_state: JobState) -> None:
        its = JobGroup.attempt_id == attempt_id
        for group in db.scalars(select(JobGroup).where(its, JobGroup.state == GroupState.WANTED)):
            group.state = group_state
            for job in group.jobs:
                job.state = job_state

    def judged(self, name: str, grade: Grade = Grade.PASS, processing: str = "bucket1") -> None:
        """The verdict on an ended attempt."""
        with self.database.read() as db:
            judged = judging.Judged(processing, name, self.view(db, processing).attempts[name].id)
        judgement = Judgement(grade, generic_only=False, checks=())
        judging.write_down(self.workplace, judged, judgement, Measurements(), "report.html")

    def by_hand(self, name: str, value: object, processing: str = "bucket1") -> ByHand:
        """Payloads made by hand with this content, as if they had been checked."""
        with self.database.read() as db:
            requested = self.view(db, processing).requested
        identity = digest([name, value])
        file = StoredFile(Path(f"{identity}.root"), digest([identity]), 1)
        check = FileCheck(file.path, f"P{name}", identity, file.checksum, file.size_bytes, "")
        return ByHand("a file", ((check, requested, file),))

    def finish(self, name: str, value: object, processing: str = "bucket1") -> None:
        """From submitted to signed off."""
        self.advance(name, processing)
        self.jobs_end(name, value, processing)
        self.judged(name, processing=processing)
        self.advance(name, processing)

    def decisions(self) -> list[Decision]:
        with self.database.read() as db:
            return list(db.scalars(select(Decision).order_by(Decision.id)))

    def count(self, table: type[Attempt] | type[Calibration] | type[Decision]) -> int:
        with self.database.read() as db:
            return db.scalar(select(func.count()).select_from(table)) or 0


__all__ = ["DIAMOND", "MANAGER", "START", "THE_LOOP", "Defined", "World"]
