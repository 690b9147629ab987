"""The rows that an attempt leaves: jobs, logs, measurements, payloads, verdicts, decisions."""

import json
import random
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from b2cal.core.checksums import digest, sha256_bytes
from b2cal.core.iov import OPEN, ExpRun
from b2cal.model import (
    Attempt,
    AttemptPayload,
    Calibration,
    Decision,
    GlobalTag,
    Grade,
    GroupState,
    JobState,
    Outcome,
    Payload,
    Processing,
    Role,
    Run,
    TagIov,
    Verdict,
)
from b2cal.settings import Settings
from tests import factories

from .items import NOW


class Rows:
    """Writes rows of one session, and the files that belong to them."""

    def __init__(self, db: Session, home: Settings) -> None:
        self.db = db
        self.home = home
        self.random = random.Random(23)  # noqa: S311 (numbers for plots)
        self.identities = 0
        self.tags: dict[str, GlobalTag] = {}

    def attempt(
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
            self.jobs(attempt, start, end, jobs, retried, failing, running)
        return attempt

    def jobs(
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
                self.log(folder, "KeyError: 'layers'" if failing else timeout)
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

    def log(self, folder: str, error: str) -> None:
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

    def measurements(self, attempt: Attempt) -> None:
        """The numbers behind a verdict, beside its report."""
        values = [round(self.random.gauss(0, 1.3), 3) for _ in range(299)]
        values[60:74] = [round(6.0 + self.random.gauss(0, 0.3), 3) for _ in range(14)]
        measurement = {
            "name": "board shift against previous",
            "values": values,
            "errors": [1.0] * 299,
            "unit": "σ",
            "axis": "board",
            "previous": [round(self.random.gauss(0, 1.0), 3) for _ in range(299)],
        }
        (self.home.reports / str(attempt.id) / "measurements.json").write_text(json.dumps([measurement]))

    def pictures(self, attempt: Attempt, title: str) -> None:
        """A plot beside the report."""
        place = self.home.reports / str(attempt.id)
        drawn = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 300 99"><path d="M0 9L9 9"/></svg>'
        (place / "payload_0.svg").write_text(drawn)
        row = {"file": "payload_0.svg", "title": title, "caption": "120 channels.", "check": "", "anomalous": False}
        (place / "plots.json").write_text(json.dumps([row]))

    def choice(self, run: Run) -> dict[str, Any]:
        text = str(ExpRun.from_number(run.exprun))
        if run.attributes["Magnet"] == ["Off"]:
            return {"run": text, "taken": False, "reason": "left out: magnet is Off, asked for On"}
        if "Good" not in run.attributes["Data Quality Tag"]:
            reason = "left out: data quality tag is Good Or Recoverable, asked for Good"
            return {"run": text, "taken": False, "reason": reason}
        return {"run": text, "taken": True, "reason": "taken: 48,000 events of hadron; 10,000 events of cosmic"}

    def payloads(self, it: Calibration, attempt: Attempt, first: int, last: int, *, into_tag: bool = False) -> None:
        for owned in it.definition.payloads:
            payload = self.payload(owned.payload_name)
            self.db.add(
                AttemptPayload(attempt_id=attempt.id, name=payload.name, first=first, last=last, payload_id=payload.id)
            )
            if into_tag:
                self.into_tag(payload, first)
        self.db.flush()

    def into_tag(self, payload: Payload, first: int) -> None:
        older = self.payload(payload.name)
        tag: GlobalTag = self.tags["prompt"]
        begin = ExpRun(25, 1).number if payload.name != "Noise" else ExpRun(25, 300).number
        end = first - 1 if payload.name != "Leakage" else ExpRun(25, 650).number
        self.db.add(TagIov(tag_id=tag.id, name=payload.name, payload_id=older.id, first=begin, last=end))
        self.db.add(TagIov(tag_id=tag.id, name=payload.name, payload_id=payload.id, first=first, last=OPEN))

    def payload(self, name: str) -> Payload:
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

    def verdict(self, attempt: Attempt, grade: Grade, checks: list[dict[str, Any]]) -> None:
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

    def check(
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

    def decide(
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
        **details: Any,
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
                details=details,
            )
        )
        self.db.flush()
