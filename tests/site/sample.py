"""A database with a busy week in it: processings and calibrations in every state, jobs, logs, verdicts, decisions.

`python -m tests.site.sample FOLDER` makes one and serves it, to look at the pages; the password of everybody is `demo`.
"""

import json
import random
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session
from werkzeug.security import generate_password_hash

from b2cal.core.checksums import digest, sha256_bytes
from b2cal.core.clock import ManualClock
from b2cal.core.iov import OPEN, ExpRun
from b2cal.loop import ProcessingView
from b2cal.model import (
    Attempt,
    AttemptFile,
    AttemptPayload,
    AttemptRead,
    BaseIov,
    Calibration,
    Database,
    DataFile,
    DataFormat,
    Decision,
    Definition,
    DefinitionPayload,
    GlobalTag,
    Grade,
    GroupState,
    JobState,
    Kind,
    Outcome,
    Payload,
    Processing,
    ProcessingKind,
    ProcessingState,
    PublishPolicy,
    Release,
    Role,
    Run,
    Stage,
    State,
    Step,
    TagIov,
    TagState,
    UnreadableFile,
    Verdict,
)
from b2cal.settings import Settings
from tests import factories

NOW = datetime(2026, 11, 27, 3, 40, tzinfo=UTC)
PASSWORD = "demo"
FIRST, LAST = ExpRun(26, 180), ExpRun(26, 1967)
N_RUNS = 412
STREAMS = {"bhabha": 52_000, "hadron": 48_000, "cosmic": 10_000}
VOCABULARY = {
    "Magnet": ["On", "Off", "Either"],
    "Run Type": ["beam", "cosmic", "debug", "null", "physics"],
    "Data Tag": list(STREAMS),
    "Data Quality Tag": [">=30 Minute Run", "Good", "Good Or Recoverable"],
}
PEOPLE = {
    "tracking": "E. Expert",
    "second": "D. Second",
    "calorimeter": "F. Crystal",
    "alignment": "A. Align",
    "muon": "K. Muon",
    "vertex": "V. Vertex",
    "data": "P. Production",
}


@dataclass(frozen=True)
class Item:
    """A calibration of the sample's release."""

    name: str
    step: Step
    expert: str
    upstream: tuple[str, ...] = ()
    payloads: tuple[str, ...] = ()
    kind: Kind = Kind.CALIBRATE
    streams: tuple[str, ...] = ("hadron", "cosmic")
    config: dict[str, Any] = field(default_factory=lambda: {"min_events": 5000, "iterations": 5})


S = Step
ITEMS = (
    Item(
        "Pedestals",
        S.LOCAL,
        "tracking",
        (),
        ("Pedestals",),
        Kind.COPY,
        (),
        {"source_tag": "local-23", "unchanged": False},
    ),
    Item("Noise", S.LOCAL, "tracking", (), ("Noise",), Kind.COPY, (), {"source_tag": "local-23", "unchanged": False}),
    Item("Channel masks", S.PRE_TRACKING, "tracking", ("Pedestals", "Noise"), ("ChannelMask",)),
    Item("Time offsets", S.PRE_TRACKING, "tracking", ("Channel masks",), ("TimeOffsets",)),
    Item(
        "x-t relation",
        S.PRE_TRACKING,
        "tracking",
        ("Time offsets",),
        ("XtRelations", "SpaceResolutions"),
        config={
            "max_events_hadron": 12_000,
            "iterations": 5,
            "mode": "quick",
            "use_cosmics": True,
            "momentum_window_gev": [0.5, 4.0],
            "payload_boundaries": [],
            "fractions": {"hadron": 0.5, "cosmic": 1, "bhabha": 0.25},
            "min_hits": 20,
            "comment": "standard reprocessing settings",
        },
    ),
    Item("Crystal energy", S.PRE_TRACKING, "calorimeter", ("Channel masks",), ("CrystalEnergy",), streams=("bhabha",)),
    Item("Alignment", S.ALIGNMENT, "alignment", ("x-t relation",), ("Alignment",)),
    Item("Align. monitor", S.ALIGNMENT, "alignment", ("Alignment",), ("AlignmentMonitor",)),
    Item(
        "cDST production",
        S.CDST_PRODUCTION,
        "data",
        ("Align. monitor", "Crystal energy"),
        (),
        Kind.PRODUCE,
        ("hadron", "bhabha"),
        {},
    ),
    Item("dE/dx gain", S.POST_TRACKING, "tracking", ("cDST production",), ("DedxGain",)),
    Item("Leakage", S.POST_TRACKING, "calorimeter", ("cDST production",), ("Leakage",)),
    Item("Crystal time", S.POST_TRACKING, "calorimeter", ("cDST production",), ("CrystalTime",)),
    Item("Muon efficiency", S.POST_TRACKING, "muon", ("cDST production",), ("MuonEfficiency",)),
    Item("Beam spot", S.ANALYSIS, "vertex", ("dE/dx gain",), ("BeamSpot",)),
    Item("Boost vector", S.ANALYSIS, "vertex", ("Beam spot",), ("BoostVector",)),
    Item("Momentum scale", S.ANALYSIS, "tracking", ("dE/dx gain", "Leakage"), ("MomentumScale",)),
)
STATES = {
    "Pedestals": State.SIGNED_OFF,
    "Noise": State.SIGNED_OFF,
    "Channel masks": State.SIGNED_OFF,
    "Time offsets": State.SIGNED_OFF,
    "x-t relation": State.REVIEW,
    "Crystal energy": State.SIGNED_OFF,
    "Muon efficiency": State.VETOED,
    "Crystal time": State.OPEN,
    "Beam spot": State.OPEN,
    "dE/dx gain": State.OPEN,
}
SCHEMA = {
    "max_events_hadron": {
        "type": "integer",
        "minimum": 1,
        "maximum": 1_000_000,
        "description": "hadron events per run",
    },
    "iterations": {"type": "integer", "minimum": 1, "maximum": 20},
    "mode": {"enum": ["quick", "full"]},
    "use_cosmics": {"type": "boolean"},
    "momentum_window_gev": {"type": "array", "items": {"type": "number"}},
    "payload_boundaries": {"type": "array"},
    "fractions": {"type": "object"},
    "min_hits": {"type": "integer", "minimum": 0},
    "min_events": {"type": "integer", "minimum": 0},
    "comment": {"type": "string"},
    "source_tag": {"type": "string"},
    "unchanged": {"type": "boolean"},
}


def settings(folder: Path) -> Settings:
    """Settings of a home folder below `folder`."""
    return Settings(home=folder / "var")


def fill(database: Database, home: Settings) -> None:
    """Write all of it, in one transaction, and the logs and measurements to the folders."""
    database.write(lambda db: _Writer(db, home).write())


def served(folder: Path) -> Settings:
    """A filled database in `folder`, whose clock stands at NOW."""
    home = settings(folder)
    home.home.mkdir(parents=True, exist_ok=True)
    database = factories.database(home.home, ManualClock(NOW))
    fill(database, home)
    database.dispose()
    return home


class _Writer:
    def __init__(self, db: Session, home: Settings) -> None:
        self.db = db
        self.home = home
        self.random = random.Random(23)  # noqa: S311 (numbers for plots)
        self.identities = 0

    def write(self) -> None:
        self._people()
        self.release = self._release()
        self.tags = {
            name: factories.tag(self.db, name, state=state, created_at=NOW - timedelta(days=40))
            for name, state in (
                ("prompt", TagState.RUNNING),
                ("proc12-staging", TagState.OPEN),
                ("local-23", TagState.VALIDATED),
            )
        }
        self._data()
        former = self._processing("bucket22", ProcessingState.PUBLISHED, ExpRun(25, 700), ExpRun(26, 179), -9)
        self._all_done(former)
        self._bucket23()
        self._chunk3()
        self._read()
        factories.processing(
            self.db,
            name="bucket24",
            state=ProcessingState.PLANNED,
            run_first=ExpRun(26, 1968).number,
            run_last=ExpRun(26, 2400).number,
            manager="manager",
            centre="BNL",
            release=self.release,
            base_tag=self.tags["prompt"],
            activated_at=None,
            created_at=NOW - timedelta(minutes=20),
        )

    def _read(self) -> None:
        """Every live attempt has read what stands upstream of it now: all are fresh."""
        for processing in self.db.query(Processing).filter_by(state=ProcessingState.ACTIVE):
            view = ProcessingView(self.db, processing.id)
            for name, attempt in view.attempts.items():
                for entry, producer in view.would_read(name):
                    row = AttemptRead(attempt_id=attempt.id, name=entry.name, first=entry.first, last=entry.last)
                    row.payload_id, row.producer, row.used = entry.payload_id, producer, True
                    self.db.add(row)
        self.db.flush()

    def _people(self) -> None:
        secret = generate_password_hash(PASSWORD, method="scrypt:1024:8:1")
        factories.person(self.db, "manager", full_name="M. Manager", role=Role.MANAGER, password_hash=secret)
        for username, full_name in PEOPLE.items():
            factories.person(self.db, username, full_name=full_name, password_hash=secret)

    def _release(self) -> Release:
        release = factories.release(self.db, name="light-2611", vocabulary=VOCABULARY)
        for item in ITEMS:
            definition = factories.definition(
                self.db,
                release,
                item.name,
                step=item.step,
                kind=item.kind,
                expert=item.expert,
                settings={
                    "name": item.name,
                    "description": f"{item.name} from collision data, one set of constants for each block of runs.",
                    "input_data_formats": ["raw"] if item.step.order < 3 else ["cdst"],
                    "input_data_names": list(item.streams),
                    "input_data_filters": {name: ["Good", "On"] for name in item.streams},
                    "depends_on": list(item.upstream),
                    "expert_config": item.config,
                },
                config_schema={
                    "type": "object",
                    "properties": {key: SCHEMA[key] for key in item.config},
                    "additionalProperties": False,
                },
            )
            for name in item.payloads:
                self.db.add(DefinitionPayload(release_id=release.id, payload_name=name, definition_id=definition.id))
        self.db.flush()
        return release

    def _data(self) -> None:
        numbers = sorted({FIRST.run, LAST.run, *(FIRST.run + 1 + i * 1786 // (N_RUNS - 2) for i in range(N_RUNS - 2))})
        self.runs = []
        for index, number in enumerate(numbers):
            exprun = ExpRun(26, number).number
            magnet = ["Off"] if index % 46 == 7 else ["On"]
            quality = ["Good", ">=30 Minute Run"] if index % 80 else ["Good Or Recoverable"]
            self.runs.append(
                Run(
                    exprun=exprun,
                    started_at=NOW - timedelta(hours=400 - 0.9 * index),
                    duration_s=2400.0 + 60 * (index % 7),
                    n_events=sum(STREAMS.values()),
                    attributes={"Magnet": magnet, "Run Type": ["physics"], "Data Quality Tag": quality},
                    expected=dict(STREAMS),
                )
            )
        self.db.add_all(self.runs)
        self.db.flush()
        self.files = [
            DataFile(
                path=f"/data/e0026/{name}_e0026_r{ExpRun.from_number(run.exprun).run:05d}.root",
                data_name=name,
                format=DataFormat.RAW,
                exprun=run.exprun,
                n_events=n_events if run is not self.runs[-1] or name != "hadron" else n_events // 3,
                size_bytes=n_events * 410,
                mtime_ns=0,
                sha256=digest([name, run.exprun]),
                registered_at=run.started_at + timedelta(hours=3),
            )
            for run in self.runs
            for name, n_events in STREAMS.items()
        ]
        self.db.add_all(self.files)
        reason = "The file ends in the middle of a basket: 1,204,224 of 21,320,000 bytes were copied."
        self.db.add(
            UnreadableFile(path="/data/e0026/hadron_e0026_r01970.root", reason=reason, seen_at=NOW - timedelta(hours=2))
        )
        self.db.flush()

    def _processing(
        self, name: str, state: ProcessingState, first: ExpRun, last: ExpRun, days: float, **columns: Any
    ) -> Processing:
        processing = factories.processing(
            self.db,
            **{
                "name": name,
                "state": state,
                "run_first": first.number,
                "run_last": last.number,
                "manager": "manager",
                "centre": "BNL",
                "release": self.release,
                "base_tag": self.tags["prompt"],
                "target_tag": self.tags["prompt"],
                "window_s": 48 * 3600.0,
                "reject_window_s": 24 * 3600.0,
                "publish_policy": PublishPolicy.MANUAL,
                "created_at": NOW + timedelta(days=days),
                "activated_at": NOW + timedelta(days=days),
                "ended_at": NOW + timedelta(days=days + 4) if state is ProcessingState.PUBLISHED else None,
                **columns,
            },
        )
        self._decide(processing, None, days * 24, "activate", "planned", "active", "manager", Role.MANAGER)
        return processing

    def _calibrations(self, processing: Processing, states: dict[str, State], hours: float) -> dict[str, Calibration]:
        start = NOW + timedelta(hours=hours)
        definitions = {one.name: one for one in self.db.query(Definition).filter_by(release_id=self.release.id)}
        return {
            item.name: factories.calibration(
                self.db,
                processing,
                item.name,
                definition=definitions[item.name],
                upstream=list(item.upstream),
                deputy="second" if item.expert == "tracking" else None,
                state=states.get(item.name, State.SUBMITTED),
                since=start + timedelta(hours=self.random.uniform(5, 30)),
                window_started_at=start,
                window_ends_at=start + timedelta(hours=48),
            )
            for item in ITEMS
        }

    def _all_done(self, processing: Processing) -> None:
        hours = -9 * 24.0
        for name, it in self._calibrations(
            processing, dict.fromkeys((i.name for i in ITEMS), State.SIGNED_OFF), hours
        ).items():
            attempt = self._attempt(
                it, hours + 30 + 4 * it.step.order, Outcome.FILES if it.kind is Kind.PRODUCE else Outcome.CONSTANTS
            )
            self._payloads(it, attempt, processing.run_first, OPEN, into_tag=True)
            self._verdict(
                attempt,
                Grade.PASS,
                [self._check("board shift against previous", 2.6, 4.2)] if name == "x-t relation" else [],
            )
            self._decide(
                processing, it, hours + 60, "sign_off", "review", "signed_off", "b2cal", Role.LOOP, "verdict pass"
            )
        self._decide(processing, None, -5 * 24, "publish", "complete", "published", "manager", Role.MANAGER)

    def _bucket23(self) -> None:
        processing = self._processing("bucket23", ProcessingState.ACTIVE, FIRST, LAST, -38 / 24)
        for iov in self.db.query(TagIov).filter_by(tag_id=self.tags["prompt"].id):
            self.db.add(
                BaseIov(
                    processing_id=processing.id,
                    name=iov.name,
                    first=iov.first,
                    last=iov.last,
                    payload_id=iov.payload_id,
                )
            )
        self.db.flush()
        its = self._calibrations(processing, STATES, -38)
        for it in its.values():
            match it.state:
                case State.SIGNED_OFF:
                    self._signed_off(processing, it, -30 + 5 * it.step.order)
                case State.SUBMITTED:
                    self._submitted(processing, it, -30)
        self._xt(processing, its["x-t relation"])
        veto = its["Muon efficiency"]
        veto.fallback_tag_id, veto.since = self.tags["prompt"].id, NOW - timedelta(hours=20)
        self._decide(
            processing, veto, -20, "veto", "open", "vetoed", "manager", Role.MANAGER, "Readout crate off since run 210"
        )
        self.db.flush()

    def _signed_off(self, processing: Processing, it: Calibration, hours: float) -> None:
        attempt = self._attempt(it, hours, Outcome.CONSTANTS, jobs=0 if it.kind is Kind.COPY else 12)
        self._payloads(it, attempt, processing.run_first, OPEN)
        self._verdict(attempt, Grade.PASS, [self._check(f"check {n}", 0.4 + 0.2 * n, 4.0) for n in range(12)])
        it.since = NOW + timedelta(hours=hours + 1)
        for at, verb, before, after in (
            (hours - 2, "submit", "open", "submitted"),
            (hours, "start", "submitted", "running"),
            (hours + 0.7, "ended", "running", "validating"),
            (hours + 0.9, "judged", "validating", "review"),
            (hours + 1, "sign_off", "review", "signed_off"),
        ):
            person = (it.expert, Role.EXPERT) if verb == "submit" else ("b2cal", Role.LOOP)
            self._decide(processing, it, at, verb, before, after, *person, "verdict pass" if verb == "sign_off" else "")

    def _submitted(self, processing: Processing, it: Calibration, hours: float) -> None:
        factories.submission(
            self.db,
            it,
            config=it.definition.settings["expert_config"],
            selection={"filters": it.definition.settings["input_data_filters"]},
            submitted_at=NOW + timedelta(hours=hours),
        )
        it.since = NOW + timedelta(hours=hours)
        self._decide(processing, it, hours, "submit", "open", "submitted", it.expert, Role.EXPERT)

    def _xt(self, processing: Processing, it: Calibration) -> None:
        it.since = NOW - timedelta(hours=1, minutes=5)
        first = self._attempt(it, -20, Outcome.CONSTANTS, jobs=40, automatic=True)
        first.rejected, first.live = True, None
        self.db.flush()
        attempt = self._attempt(it, -4, Outcome.CONSTANTS, jobs=240, retried=5, config={"max_events_hadron": 20_000})
        attempt.runs = [self._choice(run) for run in self.runs]
        self.db.add_all(
            AttemptFile(attempt_id=attempt.id, data_file_id=file.id, sha256=file.sha256)
            for file in self.files[: 3 * 398]
            if file.data_name in ("hadron", "cosmic")
        )
        self._payloads(it, attempt, processing.run_first, OPEN)
        checks = [
            self._check("board shift against previous", 6.1, 4.2, Grade.FAIL, "board 8/64", 14, 299),
            self._check("residual width", 121.4, 128.0, Grade.PASS, "", 0, 1, "µm"),
            *(self._check(f"layer {n} efficiency", 0.97, 1.0, Grade.PASS, "", 0, 1, "", 0.9) for n in range(10)),
        ]
        self._verdict(attempt, Grade.FAIL, checks)
        self._measurements(attempt)
        for at, verb, before, after, who, role, reason in (
            (-30, "submit", "open", "submitted", "b2cal", Role.LOOP, "end of the window"),
            (-20, "start", "submitted", "running", "b2cal", Role.LOOP, ""),
            (-19, "judged", "validating", "review", "b2cal", Role.LOOP, "verdict warn"),
            (-11, "reject", "review", "open", "tracking", Role.EXPERT, "too few hadrons"),
            (-10.6, "submit", "open", "submitted", "tracking", Role.EXPERT, "more hadrons for layer 8"),
            (-4, "start", "submitted", "running", "b2cal", Role.LOOP, ""),
            (-1.3, "ended", "running", "validating", "b2cal", Role.LOOP, "after 5 iterations"),
            (-1.08, "judged", "validating", "review", "b2cal", Role.LOOP, "verdict fail"),
        ):
            self._decide(processing, it, at, verb, before, after, who, role, reason)

    def _chunk3(self) -> None:
        """A reprocessing with a failure, something that runs, something that is judged."""
        processing = self._processing(
            "proc12-chunk3",
            ProcessingState.ACTIVE,
            ExpRun(20, 1),
            ExpRun(22, 500),
            -3,
            kind=ProcessingKind.REPROCESSING,
            centre="KEK",
            base_tag=self.tags["prompt"],
            target_tag=self.tags["proc12-staging"],
            held=True,
        )
        states = {
            "Pedestals": State.SIGNED_OFF,
            "Noise": State.SIGNED_OFF,
            "Channel masks": State.FAILED,
            "Crystal energy": State.RUNNING,
            "Beam spot": State.VALIDATING,
        }
        its = self._calibrations(processing, states, -72)
        for name in ("Pedestals", "Noise"):
            self._signed_off(processing, its[name], -60)
        failed = its["Channel masks"]
        failed.problem = "Script error in every job: KeyError: 'layers'"
        attempt = self._attempt(failed, -6, Outcome.FAILED, jobs=8, failing=8)
        attempt.message = failed.problem
        failed.since = NOW - timedelta(hours=5)
        self._decide(processing, failed, -5, "ended", "running", "failed", "b2cal", Role.LOOP, failed.problem)
        self._attempt(its["Crystal energy"], -1, None, jobs=120, running=30)
        self._attempt(its["Beam spot"], -2, Outcome.CONSTANTS, jobs=4)
        for name, it in its.items():
            if name not in states:
                self._submitted(processing, it, -40)

    def _attempt(
        self,
        it: Calibration,
        hours: float,
        outcome: Outcome | None,
        *,
        jobs: int = 4,
        retried: int = 0,
        failing: int = 0,
        running: int = 0,
        automatic: bool = False,
        config: dict[str, Any] | None = None,
    ) -> Attempt:
        start = NOW + timedelta(hours=hours)
        submission = factories.submission(
            self.db,
            it,
            config={**it.definition.settings["expert_config"], **(config or {})},
            selection={"filters": it.definition.settings["input_data_filters"]},
            automatic=automatic,
            submitted_by="b2cal" if automatic else it.expert,
            submitted_at=start - timedelta(hours=2),
            comment="more hadrons for layer 8" if config else "",
        )
        end = None if outcome is None else start + timedelta(minutes=12 + 6 * jobs**0.5)
        attempt = factories.attempt(
            self.db,
            it,
            submission=submission,
            started_at=start,
            ended_at=end,
            outcome=outcome,
            runs=[{"run": "e26r180", "taken": True, "reason": "taken: 48,000 events of hadron"}],
        )
        if jobs:
            self._jobs(attempt, start, end, jobs, retried, failing, running)
        return attempt

    def _jobs(
        self,
        attempt: Attempt,
        start: datetime,
        end: datetime | None,
        jobs: int,
        retried: int,
        failing: int,
        running: int,
    ) -> None:
        state = GroupState.SUBMITTED if end is None else GroupState.FAILED if failing else GroupState.DONE
        group = factories.group(
            self.db,
            attempt,
            0,
            state=state,
            epoch=1,
            wanted_at=start,
            not_before=start,
            submitted_at=start + timedelta(minutes=4),
            ended_at=end,
        )
        again = (
            factories.group(self.db, attempt, 0, round=1, state=GroupState.DONE, epoch=1, ended_at=end, wanted_at=start)
            if retried
            else None
        )
        for number in range(jobs):
            goes_wrong = number < retried + failing
            done = JobState.FAILED if goes_wrong else JobState.DONE
            if end is None:
                done = (
                    JobState.RUNNING if number < running else JobState.DONE if number < 2 * running else JobState.QUEUED
                )
            folder = f"{attempt.id}/collect-0/r0e1/{number}/1"
            timeout = "[ERROR] Operation expired (errno 206) after 600 s"
            factories.job(
                self.db,
                group,
                number,
                label=f"runs e26r{180 + 7 * number} to e26r{186 + 7 * number}",
                state=done,
                folder=folder,
                batch_id=f"1204.{number}",
                host=f"acas{1400 + number % 40}",
                exit_code=74 if goes_wrong else 0,
                error="" if not goes_wrong else "KeyError: 'layers'" if failing else timeout,
                retry=""
                if not goes_wrong
                else "never: the script is wrong"
                if failing
                else "again after 30 min: storage did not answer",
                started_at=start + timedelta(minutes=5),
                ended_at=None if end is None else start + timedelta(minutes=14),
                cpu_s=540.0,
                memory_bytes=1_400_000_000,
            )
            if goes_wrong and number == 0:
                self._log(folder, "KeyError: 'layers'" if failing else timeout)
            if again is not None and number < retried:
                factories.job(
                    self.db,
                    again,
                    number,
                    label=f"runs e26r{180 + 7 * number}",
                    state=JobState.DONE,
                    folder=f"{attempt.id}/collect-0/r1e1/{number}/1",
                    host="acas1455",
                    exit_code=0,
                    cpu_s=540.0,
                    started_at=start + timedelta(minutes=45),
                    ended_at=start + timedelta(minutes=54),
                )

    def _log(self, folder: str, error: str) -> None:
        place = self.home.attempts / folder
        place.mkdir(parents=True, exist_ok=True)
        lines = [
            f"2026-11-27 00:{n // 60 % 60:02d}:{n % 60:02d} collect: chunk {n}, 50,000 events" for n in range(1, 1187)
        ]
        lines += [
            "opening root://door.example:1094//data/hadron_e0026_r01512_f03.root",
            error,
            "wrapper: stage-in failed, code 74",
        ]
        lines += [f"wrapper: line {n}" for n in range(1190, 1205)]
        (place / "stderr").write_text("\n".join(lines) + "\n")
        (place / "stdout").write_text("hello\n")

    def _measurements(self, attempt: Attempt) -> None:
        group = factories.group(self.db, attempt, 0, stage=Stage.MEASURE, state=GroupState.DONE, epoch=1)
        folder = f"{attempt.id}/measure-0/r0e1/0/1"
        factories.job(self.db, group, 0, state=JobState.DONE, folder=folder)
        values = [round(self.random.gauss(0, 1.3), 3) for _ in range(299)]
        values[60:74] = [round(6.0 + self.random.gauss(0, 0.3), 3) for _ in range(14)]
        place = self.home.attempts / folder / "outputs"
        place.mkdir(parents=True, exist_ok=True)
        measurement = {
            "name": "board shift against previous",
            "values": values,
            "errors": [1.0] * 299,
            "unit": "σ",
            "axis": "board",
            "previous": [round(self.random.gauss(0, 1.0), 3) for _ in range(299)],
        }
        (place / "measurements.json").write_text(
            json.dumps({"measurements": [measurement], "limits": {}, "names_read": []})
        )

    def _choice(self, run: Run) -> dict[str, Any]:
        text = str(ExpRun.from_number(run.exprun))
        if run.attributes["Magnet"] == ["Off"]:
            return {"run": text, "taken": False, "reason": "left out: magnet is Off, asked for On"}
        if "Good" not in run.attributes["Data Quality Tag"]:
            reason = "left out: data quality tag is Good Or Recoverable, asked for Good"
            return {"run": text, "taken": False, "reason": reason}
        return {"run": text, "taken": True, "reason": "taken: 48,000 events of hadron; 10,000 events of cosmic"}

    def _payloads(self, it: Calibration, attempt: Attempt, first: int, last: int, *, into_tag: bool = False) -> None:
        for owned in it.definition.payloads:
            payload = self._payload(owned.payload_name)
            self.db.add(
                AttemptPayload(attempt_id=attempt.id, name=payload.name, first=first, last=last, payload_id=payload.id)
            )
            if into_tag:
                self._into_tag(payload, first)
        self.db.flush()

    def _into_tag(self, payload: Payload, first: int) -> None:
        older = self._payload(payload.name)
        tag: GlobalTag = self.tags["prompt"]
        begin = ExpRun(25, 1).number if payload.name != "Noise" else ExpRun(25, 300).number
        end = first - 1 if payload.name != "Leakage" else ExpRun(25, 650).number
        self.db.add(TagIov(tag_id=tag.id, name=payload.name, payload_id=older.id, first=begin, last=end))
        self.db.add(TagIov(tag_id=tag.id, name=payload.name, payload_id=payload.id, first=first, last=OPEN))

    def _payload(self, name: str) -> Payload:
        self.identities += 1
        identity = sha256_bytes(f"{name} {self.identities}".encode())
        payload = Payload(
            name=name,
            identity=identity,
            checksum=digest(identity),
            size_bytes=self.random.randint(20_000, 1_400_000),
            created_at=NOW - timedelta(days=6),
        )
        self.db.add(payload)
        self.db.flush()
        return payload

    def _verdict(self, attempt: Attempt, grade: Grade, checks: list[dict[str, Any]]) -> None:
        self.db.add(
            Verdict(
                attempt_id=attempt.id,
                grade=grade,
                generic_only=False,
                checks=checks,
                report=f"{attempt.id}/report.html",
                judged_at=attempt.ended_at or NOW,
            )
        )
        place = self.home.reports / str(attempt.id)
        place.mkdir(parents=True, exist_ok=True)
        (place / "report.html").write_text("<!doctype html><title>report</title><p>All plots.</p>")
        self.db.flush()

    def _check(
        self,
        name: str,
        value: float,
        high: float,
        grade: Grade = Grade.PASS,
        where: str = "",
        n_outside: int = 0,
        n_values: int = 1,
        unit: str = "σ",
        low: float | None = None,
    ) -> dict[str, Any]:
        return {
            "name": name,
            "where": where,
            "value": value,
            "unit": unit,
            "low": -high if unit == "σ" else low,
            "high": high,
            "origin": "script",
            "grade": grade.value,
            "n_outside": n_outside,
            "n_values": n_values,
            "note": "",
        }

    def _decide(
        self,
        processing: Processing,
        it: Calibration | None,
        hours: float,
        verb: str,
        before: str,
        after: str,
        actor: str,
        role: Role,
        reason: str = "",
    ) -> None:
        self.db.add(
            Decision(
                processing_id=processing.id,
                calibration_id=None if it is None else it.id,
                at=NOW + timedelta(hours=hours),
                actor=actor,
                role=role,
                verb=verb,
                from_state=before,
                to_state=after,
                reason=reason,
                seen=digest([verb, hours]) if it is not None else "",
                details={"changes": {"max_events_hadron": 20000}} if "hadrons for" in reason else {},
            )
        )
        self.db.flush()


def main() -> None:
    """Serve a sample on port 8401."""
    from b2cal.site import create_app

    folder = Path(sys.argv[1])
    home = settings(folder) if (folder / "var" / "b2cal.db").exists() else served(folder)
    create_app(home, ManualClock(NOW)).run(port=8401, debug=False, threaded=True)


if __name__ == "__main__":
    main()
