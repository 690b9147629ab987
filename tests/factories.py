"""Rows for tests: each function adds one row with sane values, and what it hangs on where none is given.

    group = factories.group(db, jobs=3)          # brings its attempt, calibration, processing, release, ...
    factories.calibration(db, processing=p, name="Time offsets", state=State.REVIEW)

Any column can be given by name. Every row is flushed, so that ids and constraints are there.
"""

from datetime import timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from sqlalchemy import Row as SqlRow
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from b2cal.core.checksums import digest
from b2cal.core.clock import Clock, SystemClock
from b2cal.core.ids import new_token
from b2cal.core.iov import ExpRun
from b2cal.model import (
    Attempt,
    Base,
    Calibration,
    Database,
    Definition,
    GlobalTag,
    GroupState,
    Incident,
    IncidentKind,
    Job,
    JobGroup,
    JobState,
    Kind,
    Lease,
    NoVerdictPolicy,
    Person,
    Processing,
    ProcessingKind,
    ProcessingState,
    PublishPolicy,
    Release,
    Role,
    SignOffPolicy,
    Stage,
    StartPolicy,
    State,
    Step,
    Submission,
    TagState,
    migrate,
    now,
)

Row = TypeVar("Row", bound=Base)


def database(folder: Path, clock: Clock | None = None) -> Database:
    """A new calibration database, with all tables, in a file of `folder`."""
    path = folder / "b2cal.db"
    path.write_bytes(_empty_database())
    return Database(f"sqlite:///{path}", clock or SystemClock())


@cache
def _empty_database() -> bytes:
    # The migrations take most of a second: once for all tests of a process.
    with TemporaryDirectory() as folder:
        path = Path(folder) / "b2cal.db"
        migrate(f"sqlite:///{path}")
        return path.read_bytes()


def contents(database: Database) -> dict[str, list[SqlRow[Any]]]:
    """Every row of every table."""
    with database.read() as db:
        return {
            table.name: list(db.execute(table.select().order_by(*table.primary_key)))
            for table in Base.metadata.sorted_tables
        }


def person(db: Session, username: str = "tracking", **columns: Any) -> Person:
    """A person; the same one when asked for again."""
    known = db.get(Person, username)
    if known is not None:
        return known
    columns = {"full_name": username.title(), "role": Role.EXPERT, "password_hash": "of a password", **columns}
    return _added(db, Person(username=username, **columns))


def release(db: Session, **columns: Any) -> Release:
    number = _next(db, Release)
    columns = {
        "name": f"toy-{number}",
        "digest": digest(number),
        "interpreter": "",
        "vocabulary": {},
        "added_at": now(db),
        **columns,
    }
    return _added(db, Release(**columns))


def definition(db: Session, release: Release | None = None, name: str = "Time offsets", **columns: Any) -> Definition:
    module = name.lower().replace(" ", "_")
    columns = {
        "module": module,
        "step": Step.PRE_TRACKING,
        "kind": Kind.CALIBRATE,
        "expert": "tracking",
        "settings": {
            "name": name,
            "input_data_formats": ["raw"],
            "input_data_names": ["bhabha"],
            "input_data_filters": {"bhabha": ["Good"]},
            "depends_on": [],
            "expert_config": {},
        },
        "config_schema": {"type": "object"},
        "traits": {"strategy": "single", "max_iterations": 1, "limits": {}},
        **columns,
    }
    return _added(db, Definition(release=release or globals()["release"](db), name=name, **columns))


def tag(db: Session, name: str = "", **columns: Any) -> GlobalTag:
    columns = {"state": TagState.OPEN, "version": 1, "created_at": now(db), **columns}
    return _added(db, GlobalTag(name=name or f"tag-{_next(db, GlobalTag)}", **columns))


def processing(db: Session, **columns: Any) -> Processing:
    person(db, "manager", role=Role.MANAGER)
    columns = {
        "name": f"bucket{_next(db, Processing)}",
        "kind": ProcessingKind.PROMPT,
        "state": ProcessingState.ACTIVE,
        "run_first": ExpRun(26, 100).number,
        "run_last": ExpRun(26, 200).number,
        "manager": "manager",
        "centre": "local",
        "window_s": 60.0,
        "reject_window_s": 30.0,
        "start_policy": StartPolicy.READY,
        "sign_off_policy": SignOffPolicy.AUTO,
        "no_verdict_policy": NoVerdictPolicy.GENERIC,
        "publish_policy": PublishPolicy.AUTO,
        "created_at": now(db),
        "activated_at": now(db),
        **columns,
    }
    if not {"release", "release_id"} & columns.keys():
        columns["release"] = release(db)
    if not {"base_tag", "base_tag_id"} & columns.keys():
        columns["base_tag"] = tag(db)
    if not {"target_tag", "target_tag_id"} & columns.keys():
        columns["target_tag"] = columns.get("base_tag") or db.get_one(GlobalTag, columns["base_tag_id"])
    return _added(db, Processing(**columns))


def calibration(
    db: Session, processing: Processing | None = None, name: str = "Time offsets", **columns: Any
) -> Calibration:
    processing = processing or globals()["processing"](db)
    its = columns.pop("definition", None) or definition(db, db.get_one(Release, processing.release_id), name)
    person(db, its.expert)
    columns = {
        "step": its.step,
        "kind": its.kind,
        "upstream": its.settings.get("depends_on", []),
        "expert": its.expert,
        "state": State.OPEN,
        "since": now(db),
        "window_started_at": now(db),
        "window_ends_at": now(db) + timedelta(seconds=processing.window_s),
        **columns,
    }
    return _added(db, Calibration(processing=processing, definition=its, name=name, **columns))


def submission(db: Session, calibration: Calibration | None = None, **columns: Any) -> Submission:
    """The submission that counts of a calibration; an earlier one no longer does."""
    calibration = calibration or globals()["calibration"](db)
    number = _supersede(db, Submission, calibration)
    columns = {
        "live": True,
        "config": {},
        "selection": {},
        "submitted_by": calibration.expert,
        "automatic": False,
        "submitted_at": now(db),
        **columns,
    }
    return _added(db, Submission(calibration=calibration, number=number, **columns))


def attempt(db: Session, calibration: Calibration | None = None, **columns: Any) -> Attempt:
    """The current attempt of a calibration, with a submission; an earlier attempt is no longer live."""
    calibration = calibration or globals()["calibration"](db, state=State.RUNNING)
    its = columns.pop("submission", None) or submission(db, calibration)
    number = _supersede(db, Attempt, calibration)
    columns = {
        "live": True,
        "combination": digest([calibration.id, number]),
        "runs": [],
        "started_at": now(db),
        **columns,
    }
    return _added(db, Attempt(calibration=calibration, submission=its, number=number, **columns))


def group(db: Session, attempt: Attempt | None = None, jobs: int = 1, **columns: Any) -> JobGroup:
    """A wanted group with that many queued jobs."""
    columns = {
        "stage": Stage.COLLECT,
        "iteration": 0,
        "round": 0,
        "state": GroupState.WANTED,
        "spec": {},
        "token": new_token(),
        "epoch": 0,
        "not_before": now(db),
        "wanted_at": now(db),
        **columns,
    }
    group = _added(db, JobGroup(attempt=attempt or globals()["attempt"](db), **columns))
    for number in range(jobs):
        job(db, group, number)
    db.refresh(group)
    return group


def job(db: Session, group: JobGroup, number: int = 0, **columns: Any) -> Job:
    columns = {"label": f"part {number}", "spec": {}, "state": JobState.QUEUED, **columns}
    return _added(db, Job(group=group, number=number, **columns))


def incident(db: Session, **columns: Any) -> Incident:
    """An incident at this machine, by default a host that fails jobs now."""
    at = now(db)
    known = {"centre": "local", "kind": IncidentKind.HOST, "about": "node7", "live": True, "reason": "It fails jobs"}
    values = {**known, "opened_at": at, "closed_at": None, "probe": {"attempt": 0}, "probe_due": at, "probes": 0}
    return _added(db, Incident(**{**values, **columns}))


def agent(db: Session, **columns: Any) -> Lease:
    """Somebody is the agent, for years to come: b2cal runs."""
    lease = {"name": "agent", "holder": "host 7", "epoch": 1, "expires_at": now(db) + timedelta(days=3650), **columns}
    return _added(db, Lease(**lease))


def _added(db: Session, row: Row) -> Row:
    db.add(row)
    db.flush()
    return row


def _next(db: Session, table: type[Release | GlobalTag | Processing]) -> int:
    return 1 + (db.scalar(select(func.count()).select_from(table)) or 0)


def _supersede(db: Session, table: type[Submission | Attempt], calibration: Calibration) -> int:
    earlier = db.query(table).where(table.calibration_id == calibration.id)
    number = 1 + earlier.count()
    earlier.update({"live": None})
    return number
