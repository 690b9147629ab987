"""What happened: a published processing, one of today, a reprocessing with a failure, one that is planned."""

from datetime import timedelta
from typing import Any

from werkzeug.security import generate_password_hash

from b2cal.conditions import Change, Entry
from b2cal.core.checksums import digest
from b2cal.core.iov import OPEN, ExpRun
from b2cal.loop import ProcessingView
from b2cal.model import (
    Attempt,
    AttemptFile,
    AttemptRead,
    BaseIov,
    Calibration,
    DataFile,
    DataFormat,
    Definition,
    DefinitionPayload,
    Grade,
    Incident,
    IncidentKind,
    Kind,
    Outcome,
    Processing,
    ProcessingKind,
    ProcessingState,
    PublishPolicy,
    Release,
    Role,
    Run,
    State,
    TagIov,
    TagState,
    UnreadableFile,
)
from tests import factories

from .items import FIRST, ITEMS, LAST, N_RUNS, NOW, PASSWORD, PEOPLE, SCHEMA, STATES, STREAMS, VOCABULARY
from .rows import Rows


class Story(Rows):
    """Writes all of it."""

    def write(self) -> None:
        factories.agent(self.db)
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
        self._incidents()
        self._read()
        factories.processing(
            self.db,
            name="bucket24",
            state=ProcessingState.PLANNED,
            run_first=ExpRun(26, 1968).number,
            run_last=ExpRun(26, 2400).number,
            manager="manager",
            centre="local",
            release=self.release,
            base_tag=self.tags["prompt"],
            activated_at=None,
            created_at=NOW - timedelta(minutes=20),
        )

    def _incidents(self) -> None:
        """At KEK a host fails jobs; a storm there is over."""
        attempt = self.db.query(Attempt).order_by(Attempt.id.desc()).first()
        assert attempt is not None
        for kind, about, hours, ended in (
            (IncidentKind.STORM, "exit 74: [ERROR] Operation expired (errno #) after # s", -30, -28),
            (IncidentKind.HOST, "acas1407", -2, None),
        ):
            self.db.add(
                Incident(
                    centre="KEK",
                    kind=kind,
                    about=about,
                    live=True if ended is None else None,
                    reason=f"{about} has failed 5 jobs: nothing starts there until a probe has come through",
                    opened_at=NOW + timedelta(hours=hours),
                    closed_at=None if ended is None else NOW + timedelta(hours=ended),
                    probe={"attempt": attempt.id},
                    probe_due=NOW + timedelta(minutes=20),
                    probes=2,
                )
            )
        self.db.flush()

    def _read(self) -> None:
        """Every live attempt has read what stands upstream of it now: all are fresh."""
        for processing in self.db.query(Processing).filter_by(state=ProcessingState.ACTIVE):
            view = ProcessingView(self.db, processing.id)
            for name, attempt in view.attempts.items():
                for entry, producer in view.would_read(name, attempt.submission.config):
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
                    "subsystem": item.expert if item.expert in ("calorimeter", "muon") else None,
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
        self.decide(processing, None, days * 24, "activate", "planned", "active", "manager", Role.MANAGER)
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
            attempt = self.attempt(
                it, hours + 30 + 4 * it.step.order, Outcome.FILES if it.kind is Kind.PRODUCE else Outcome.CONSTANTS
            )
            self.payloads(it, attempt, processing.run_first, OPEN, into_tag=True)
            self.verdict(
                attempt,
                Grade.PASS,
                [self.check("board shift against previous", 2.6, 4.2)] if name == "x-t relation" else [],
            )
            self.decide(
                processing, it, hours + 60, "sign_off", "review", "signed_off", "b2cal", Role.LOOP, "verdict pass"
            )
        changes = [change.to_json() for change in self._changes()]
        self.decide(
            processing, None, -5 * 24, "publish", "complete", "published", "manager", Role.MANAGER, changes=changes
        )

    def _changes(self) -> list[Change]:
        """What publishing the first processing did: for each payload an IoV was closed and one was created."""
        in_tag: dict[str, list[Entry]] = {}
        for row in self.db.query(TagIov).filter_by(tag_id=self.tags["prompt"].id).order_by(TagIov.name, TagIov.first):
            entry = Entry(row.name, row.first, row.last, row.payload_id, row.payload.identity)
            in_tag.setdefault(row.name, []).append(entry)
        return [Change(name, closed, (new,), (), (), (), "") for name, (closed, new) in in_tag.items()]

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
        self.decide(
            processing, veto, -20, "veto", "open", "vetoed", "manager", Role.MANAGER, "Readout crate off since run 210"
        )
        self.db.flush()

    def _signed_off(self, processing: Processing, it: Calibration, hours: float) -> None:
        attempt = self.attempt(it, hours, Outcome.CONSTANTS, jobs=0 if it.kind is Kind.COPY else 12)
        self.payloads(it, attempt, processing.run_first, OPEN)
        self.verdict(attempt, Grade.PASS, [self.check(f"check {n}", 0.4 + 0.2 * n, 4.0) for n in range(12)])
        it.since = NOW + timedelta(hours=hours + 1)
        for at, verb, before, after in (
            (hours - 2, "submit", "open", "submitted"),
            (hours, "start", "submitted", "running"),
            (hours + 0.7, "ended", "running", "validating"),
            (hours + 0.9, "judged", "validating", "review"),
            (hours + 1, "sign_off", "review", "signed_off"),
        ):
            person = (it.expert, Role.EXPERT) if verb == "submit" else ("b2cal", Role.LOOP)
            self.decide(processing, it, at, verb, before, after, *person, "verdict pass" if verb == "sign_off" else "")

    def _submitted(self, processing: Processing, it: Calibration, hours: float) -> None:
        factories.submission(
            self.db,
            it,
            config=it.definition.settings["expert_config"],
            selection={"filters": it.definition.settings["input_data_filters"]},
            submitted_at=NOW + timedelta(hours=hours),
        )
        it.since = NOW + timedelta(hours=hours)
        self.decide(processing, it, hours, "submit", "open", "submitted", it.expert, Role.EXPERT)

    def _xt(self, processing: Processing, it: Calibration) -> None:
        it.since = NOW - timedelta(hours=1, minutes=5)
        first = self.attempt(it, -20, Outcome.CONSTANTS, jobs=40, automatic=True)
        first.rejected, first.live = True, None
        self.verdict(
            first, Grade.WARN, [self.check("board shift against previous", 4.4, 4.2, Grade.WARN, "board 8/64")]
        )
        attempt = self.attempt(it, -4, Outcome.CONSTANTS, jobs=240, retried=5, config={"max_events_hadron": 20_000})
        attempt.runs = [self.choice(run) for run in self.runs]
        self.db.add_all(
            AttemptFile(attempt_id=attempt.id, data_file_id=file.id, data_name=file.data_name, sha256=file.sha256)
            for file in self.files[: 3 * 398]
            if file.data_name in ("hadron", "cosmic")
        )
        self.payloads(it, attempt, processing.run_first, OPEN)
        checks = [
            self.check("board shift against previous", 6.1, 4.2, Grade.FAIL, "board 65", 14, 299),
            self.check("residual width", 121.4, 128.0, Grade.PASS, "", 0, 1, "µm"),
            {**self.check("drift velocity", 4.02, 0.0, unit="cm/µs"), "high": None, "origin": "none"},
            *(self.check(f"layer {n} efficiency", 0.97, 1.0, Grade.PASS, "", 0, 1, "", 0.9) for n in range(10)),
        ]
        self.verdict(attempt, Grade.FAIL, checks)
        self.measurements(attempt)
        self.pictures(attempt, "XtRelations/offset")
        for at, verb, before, after, who, role, reason in (
            (-22, "submit", "open", "submitted", "b2cal", Role.LOOP, "end of the window"),
            (-20, "start", "submitted", "running", "b2cal", Role.LOOP, ""),
            (-19, "judged", "validating", "review", "b2cal", Role.LOOP, "verdict warn"),
            (-11, "reject", "review", "open", "tracking", Role.EXPERT, "too few hadrons"),
            (-6, "submit", "open", "submitted", "tracking", Role.EXPERT, "more hadrons for layer 8"),
            (-4, "start", "submitted", "running", "b2cal", Role.LOOP, ""),
            (-1.3, "ended", "running", "validating", "b2cal", Role.LOOP, "after 5 iterations"),
            (-1.08, "judged", "validating", "review", "b2cal", Role.LOOP, "verdict fail"),
        ):
            details: dict[str, object] = {"changes": {"max_events_hadron": 20000}} if "hadrons for" in reason else {}
            if verb == "judged":
                details["attempt"] = first.number if at < -11 else attempt.number
            self.decide(processing, it, at, verb, before, after, who, role, reason, **details)

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
        self.decide(processing, None, -4, "hold", "active", "active", "manager", Role.MANAGER, "The script is mended")
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
        attempt = self.attempt(failed, -6, Outcome.FAILED, jobs=8, failing=8)
        attempt.message = failed.problem
        failed.since = NOW - timedelta(hours=5)
        self.decide(processing, failed, -5, "ended", "running", "failed", "b2cal", Role.LOOP, failed.problem)
        self.attempt(its["Crystal energy"], -1, None, jobs=120, running=30)
        self.attempt(its["Beam spot"], -2, Outcome.CONSTANTS, jobs=4)
        for name, it in its.items():
            if name not in states:
                self._submitted(processing, it, -40)
