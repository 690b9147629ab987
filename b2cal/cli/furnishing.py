"""What a loop on simulated data needs: runs and files, release, tags, people and a processing."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.security import generate_password_hash

from b2cal import conditions, data, loop, releases
from b2cal.conditions import Entry
from b2cal.core.errors import B2calError
from b2cal.core.iov import IoV
from b2cal.loop import Act, Actor, NewProcessing, Workplace
from b2cal.model import Definition, GlobalTag, Person, Processing, Role, Run
from b2cal.settings import Settings

from .data import TOYDETECTOR, HoldsAnother, run_simulation

PROCESSING, TAG, SUBSYSTEM_TAG, MANAGER = "bucket1", "main", "calorimeter_local", "manager"


class NotTheDemo(B2calError):
    """The home holds something else than a demo."""


class DemoFailed(B2calError):
    """The loop of the demo cannot come to its end."""


@dataclass(frozen=True)
class Profile:
    """How large a demo is, and how long people have."""

    name: str
    window_s: float
    notice_s: float
    retry_delay_s: float
    bytes_per_job: int


DEMO = Profile("demo", window_s=30.0, notice_s=15.0, retry_delay_s=5.0, bytes_per_job=60_000_000)
SMALL = Profile("small", window_s=5.0, notice_s=3.0, retry_delay_s=2.0, bytes_per_job=20_000_000)
PROFILES = {profile.name: profile for profile in (DEMO, SMALL)}


@dataclass(frozen=True)
class Story:
    """What a demo is, from its beginning to its end."""

    profile: Profile = DEMO
    seed: int = 1
    centre: str = "local"

    def __str__(self) -> str:
        elsewhere = "" if self.centre == "local" else f", jobs at {self.centre}"
        return f"{self.profile.name} profile, seed {self.seed}{elsewhere}"

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """As `to_json` has told it."""
        return cls(PROFILES[kept["profile"]], kept["seed"], kept.get("centre", cls.centre))

    def to_json(self) -> dict[str, Any]:
        """The demo as a home keeps it."""
        return {"profile": self.profile.name, "seed": self.seed, "centre": self.centre}


@dataclass(frozen=True)
class Asked:
    """What somebody has asked of a demo; None: nothing."""

    profile: Profile | None = None
    seed: int | None = None
    centre: str | None = None

    def story(self) -> Story:
        """A new demo of this kind."""
        given = {name: value for name, value in vars(self).items() if value is not None}
        return Story(**given)

    def fits(self, begun: Story) -> bool:
        """Whether a demo is what was asked for."""
        return all(value in (None, getattr(begun, name)) for name, value in vars(self).items())


def elsewhere(settings: Settings) -> str:
    """How another demo is begun, as the end of a hint."""
    return f"set B2CAL_HOME to a new folder, or begin anew with `rm -r {shlex.quote(str(settings.folder('')))}`."


def prepare(workplace: Workplace, story: Story) -> list[str]:
    """Data, release, tags, people and the processing; each step only where it was not done before. Gives the logins.

    Raises:
        NotTheDemo: the home holds data of another simulation.
        SimulationFailed: the simulation ended with an error.
        UnfitCentre: jobs could not start, read or write where they are to run.
        DoorTrouble: the data cannot be brought to where the centre's jobs read them.
    """
    loop.see_that_fit(workplace, story.centre)
    simulated = workplace.settings.folder("data")
    if not (simulated / "complete").exists():
        try:
            run_simulation(simulated, story.profile.name, story.seed)
        except HoldsAnother as refused:
            raise NotTheDemo(str(refused), f"The demo makes its own: {elsewhere(workplace.settings)}") from refused
        (simulated / "complete").touch()
    logins = furnish(workplace, simulated, story.centre)
    workplace.database.write(lambda db: open_bucket(db, story.profile, story.centre))
    return logins


def furnish(workplace: Workplace, simulated: Path, centre: str = "local") -> list[str]:
    """All that a processing of simulated data needs: runs and files, release, tags and people. Gives the logins."""
    doors = workplace.settings.storages[centre].doors
    raw = simulated / "raw"
    data.scan(workplace.database, data.bring(raw, doors[0], workplace.settings, centre) if doors else raw)
    release = releases.add(workplace.database, workplace.settings, TOYDETECTOR / "release")
    seed_tag(workplace, TAG, simulated / "nominal")
    seed_tag(workplace, SUBSYSTEM_TAG, simulated / "subsystem")
    return workplace.database.write(lambda db: _add_people(db, release.release_id))


def seed_tag(workplace: Workplace, name: str, folder: Path) -> None:
    """Make a tag from the payload files that `constants.json` of a folder lists; an existing tag stays as it is."""
    with workplace.database.read() as db:
        if db.scalar(select(GlobalTag.id).where(GlobalTag.name == name)) is not None:
            return
    listed = json.loads((folder / "constants.json").read_text())
    checks = conditions.check_files([folder / entry["path"] for entry in listed])
    problems = [problem for check in checks for problem in check.problems]
    if problems:
        raise DemoFailed(
            f"The tag {name} cannot be made: {'; '.join(problems)}.", f"Remove {folder.parent} and try again."
        )
    stored = [workplace.store.put(check.path, check.identity, check.checksum) for check in checks]

    by = Actor(MANAGER, Role.MANAGER)

    def unit(db: Session) -> None:
        entries = []
        for entry, check, file in zip(listed, checks, stored, strict=True):
            iov = IoV.from_json([entry["first"], entry["last"]])
            payload_id = conditions.store_payload(db, check.name, check.identity, file.checksum, file.size_bytes)
            entries.append(Entry(check.name, iov.first.number, iov.last_number, payload_id, check.identity))
        tag = loop.create_tag(db, name, Act(by, seen=0))
        loop.add_to_tag(db, tag, entries, Act(by, tag.version))

    workplace.database.write(unit)


def _add_people(db: Session, release_id: int) -> list[str]:
    experts = sorted(set(db.scalars(select(Definition.expert).where(Definition.release_id == release_id))))
    for username, role in [(MANAGER, Role.MANAGER), *((expert, Role.EXPERT) for expert in experts)]:
        if db.get(Person, username) is None:
            hashed = generate_password_hash(username)
            db.add(Person(username=username, full_name=username.title(), role=role, password_hash=hashed))
    db.flush()
    return [MANAGER, *experts]


def open_bucket(db: Session, profile: Profile, centre: str = "local") -> None:
    """Create and activate the processing over all runs, if it is not there yet: its windows are open from now."""
    if db.scalar(select(Processing.id).where(Processing.name == PROCESSING)) is not None:
        return
    first, last = db.execute(select(func.min(Run.exprun), func.max(Run.exprun))).one()
    wanted = NewProcessing(
        name=PROCESSING,
        runs=IoV.from_numbers(first, last),
        release="toydetector",
        manager=MANAGER,
        base_tag=TAG,
        target_tag=TAG,
        centre=centre,
        window_s=profile.window_s,
        reject_window_s=profile.window_s,
    )
    planned = loop.create_processing(db, wanted)
    loop.activate(db, planned.id, loop.Room(), Act(loop.manager(db, MANAGER), planned.version))
