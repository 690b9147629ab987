"""`b2cal demo`: a complete calibration loop on simulated data, from nothing to published constants."""

import json
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
from rich.console import Group
from rich.live import Live
from rich.text import Text
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.security import generate_password_hash

from b2cal import conditions, data, loop, releases
from b2cal.conditions import Entry
from b2cal.core.errors import B2calError
from b2cal.core.files import write_atomically
from b2cal.core.iov import IoV
from b2cal.loop import Act, Actor, NewProcessing, ProcessingView, Workplace, open_workplace
from b2cal.model import (
    Calibration,
    Definition,
    GlobalTag,
    Grade,
    Person,
    Processing,
    ProcessingState,
    Role,
    Run,
    State,
    Verdict,
    migrate,
    now,
)
from b2cal.settings import Settings

from .data import TOYDETECTOR, HoldsAnother, run_simulation
from .desk import INTERRUPTED, Desk, pass_desk
from .foreground import make_home, using
from .processing import overview, picture
from .supervisor import Supervisor
from .up import addresses, running, troubles

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
SEED = 1
PROFILES = {profile.name: profile for profile in (DEMO, SMALL)}


@click.command()
@click.option(
    "--small",
    "profile",
    flag_value=SMALL,
    type=click.UNPROCESSED,
    default=None,
    help="Fewer and smaller runs, only to look at: windows of 5 s, about a minute on two cores once all has started.",
)
@click.option("--exit", "and_exit", is_flag=True, help="End when the table is shown, instead of keeping the site up.")
@click.option("--seed", type=int, show_default=str(SEED), help="Of the simulated detector.")
@pass_desk
def demo(desk: Desk, *, profile: Profile | None, and_exit: bool, seed: int | None) -> None:
    """Run a complete calibration loop on simulated data and show it.

    Exit code 1 if a type of constants is further from the truth than statistics allow (p <= 0.001), 130 if the demo is
    interrupted before that is known.
    """
    asked = profile
    profile, seed = _begin(desk.settings, asked, seed)
    settings = _settings(profile)
    small_by_itself = profile is SMALL and asked is None
    notice = f"This is the small demo, which this home holds. The full one: {_elsewhere(settings)}"
    desk.console.print(f"b2cal demo ({profile.name} profile, seed {seed}) in {settings.folder('')}")
    if small_by_itself:
        desk.console.print(notice, style="yellow", soft_wrap=True)
    exit_code = INTERRUPTED
    try:
        with running(settings) as supervisor:
            desk.console.print(addresses(settings))
            desk.console.print(f"  log in as {', '.join(prepare(open_workplace(settings), profile, seed))}")
            desk.console.print("  (each with its name as password)\n")
            try:
                _follow(Desk(MANAGER, as_json=False), profile, supervisor)
                exit_code = _show_result(desk, settings)
            except DemoFailed as error:
                if and_exit:
                    raise
                desk.errors.print(str(error), style="bold red")
                desk.errors.print(error.hint)
                exit_code = 1
            if not and_exit:
                desk.console.print("\nThe site stays up until Ctrl-C.")
                threading.Event().wait()
    except KeyboardInterrupt:
        desk.console.print("Stopped; the same command goes on from here.")
    if small_by_itself:
        desk.console.print(notice, style="yellow", soft_wrap=True)
    sys.exit(exit_code)


def _settings(profile: Profile) -> Settings:
    """The settings of the demo, also for the processes that it starts; what somebody has set stays."""
    present = Settings()
    for section, name, value in (
        ("batch", "retry_delay_s", profile.retry_delay_s),
        ("batch", "bytes_per_job", profile.bytes_per_job),
        ("loop", "reject_window_s", profile.window_s),
    ):
        if name not in getattr(present, section).model_fields_set:
            os.environ[f"B2CAL_{section}__{name}".upper()] = str(value)
    os.environ["B2CAL_HOME"] = str(present.folder(""))
    return Settings()


def _begin(settings: Settings, profile: Profile | None, seed: int | None) -> tuple[Profile, int]:
    """Profile and seed of the demo in this home: those of the first time. None is what nobody has asked for.

    Raises:
        NotTheDemo: there is a calibration database that no demo has made, or the settings name one; or the home holds
            another demo than the one that is asked for.
        CannotUseHome: the folder cannot be made or written.
    """
    named = {"database_url": settings.database_url, "airflow.database_url": settings.airflow.database_url}
    if set_by_somebody := " and ".join(name for name, url in named.items() if url):
        raise NotTheDemo(
            f"{set_by_somebody} names a database that the demo did not make.",
            "Run the demo in a folder whose b2cal.toml does not set it, and without it in the environment: the demo has"
            " accounts whose passwords everybody knows.",
        )
    marker = settings.folder("demo.json")
    with using(settings.folder("")):
        if marker.exists():
            begun = json.loads(marker.read_text())
            return _as_begun(settings, PROFILES[begun["profile"]], begun["seed"], profile, seed)
        if settings.folder("b2cal.db").exists():
            raise NotTheDemo(
                f"{settings.folder('')} holds a calibration database that is no demo.",
                "Set B2CAL_HOME to another folder: the demo has accounts whose passwords everybody knows.",
            )
        make_home(settings.folder(""))
    profile, seed = profile or DEMO, SEED if seed is None else seed
    write_atomically(marker, json.dumps({"profile": profile.name, "seed": seed}))
    migrate(settings.url)
    return profile, seed


def _as_begun(
    settings: Settings, profile: Profile, seed: int, asked_profile: Profile | None, asked_seed: int | None
) -> tuple[Profile, int]:
    if asked_profile not in (None, profile) or asked_seed not in (None, seed):
        raise NotTheDemo(
            f"{settings.folder('')} holds the demo with the {profile.name} profile and seed {seed} already.",
            f"Without --small and --seed it goes on. Another one: {_elsewhere(settings)}",
        )
    return profile, seed


def _elsewhere(settings: Settings) -> str:
    return f"set B2CAL_HOME to a new folder, or begin anew with `rm -r {shlex.quote(str(settings.folder('')))}`."


def prepare(workplace: Workplace, profile: Profile, seed: int) -> list[str]:
    """Data, release, tags, people and the processing; each step only where it was not done before. Gives the logins.

    Raises:
        NotTheDemo: the home holds data of another simulation.
        SimulationFailed: the simulation ended with an error.
    """
    simulated = workplace.settings.folder("data")
    if not (simulated / "complete").exists():
        try:
            run_simulation(simulated, profile.name, seed)
        except HoldsAnother as refused:
            raise NotTheDemo(str(refused), f"The demo makes its own: {_elsewhere(workplace.settings)}") from refused
        (simulated / "complete").touch()
    logins = furnish(workplace, simulated)
    workplace.database.write(lambda db: open_bucket(db, profile))
    return logins


def furnish(workplace: Workplace, simulated: Path) -> list[str]:
    """All that a processing of simulated data needs: runs and files, release, tags and people. Gives the logins."""
    data.scan(workplace.database, simulated / "raw")
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


def open_bucket(db: Session, profile: Profile) -> None:
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
        window_s=profile.window_s,
        reject_window_s=profile.window_s,
    )
    planned = loop.create_processing(db, wanted)
    loop.activate(db, planned.id, Act(loop.manager(db, MANAGER), planned.version))


def _follow(desk: Desk, profile: Profile, supervisor: Supervisor) -> None:
    """Show the loop until it is published; after a notice the demo's manager decides what asks for a person.

    Raises:
        DemoFailed: the loop waits for what only a person can decide, or the processing was cancelled.
    """
    notice = ""
    with Live(console=desk.console, auto_refresh=False) as live:
        while True:
            facts = overview(desk, PROCESSING)
            notices = filter(None, [*troubles(supervisor.status), notice])
            live.update(Group(picture(facts), Text("\n".join(notices), style="yellow")), refresh=True)
            if facts["state"] == ProcessingState.PUBLISHED:
                return
            if facts["state"] == ProcessingState.CANCELLED:
                raise DemoFailed("Its processing was cancelled.", f"Another demo: {_elsewhere(desk.settings)}")
            notice = _decide(desk, profile)
            time.sleep(0.5)


def _decide(desk: Desk, profile: Profile) -> str:
    """Sign off for the demo's manager what nobody has decided in time; says what is about to happen.

    Raises:
        DemoFailed: something asks for a person that was not planted to do so; a verdict, and nobody has decided it in
            time, or anything else.
    """
    planted = _planted_checks(desk.settings)
    with desk.workplace.database.read() as db:
        view = ProcessingView.of(db, PROCESSING)
        at = now(db)
        _see_that_it_goes_on(view, at)
        asking = [
            (calibration, _bad_checks(calibration, verdict) - planted)
            for name, calibration in view.calibrations.items()
            if calibration.state is State.REVIEW
            and (verdict := view.attempts[name].verdict) is not None
            and verdict.grade is not Grade.PASS
        ]
    for calibration, unexpected in asking:
        left = calibration.since + timedelta(seconds=profile.notice_s) - at
        if left > timedelta(0):
            then = "the demo ends" if unexpected else "the demo's manager signs off"
            return f"{calibration.name} asks for a person: decide on the page, or {then} in {loop.spoken(left)}."
        if unexpected:
            raise DemoFailed(
                f"{calibration.name} asks for a person, because of {', '.join(sorted(unexpected))}. Nothing of this was"
                " planted, so the demo's manager does not sign it off.",
                "Decide it on the page, then give the command again.",
            )
        _sign_off(desk, calibration.id, calibration.version)
    return ""


def _see_that_it_goes_on(view: ProcessingView, at: datetime) -> None:
    """See that nothing waits for a person but verdicts.

    Raises:
        DemoFailed: the loop does not go on before somebody has decided something else.
    """
    if view.processing.state not in loop.GOING:
        return
    stay = [
        it for it in view.calibrations.values() if it.state is not State.REVIEW and loop.asks_somebody(view, it, at)
    ]
    waiting = [f"{it.name}: {loop.why(view, it, at).sentence}" for it in stay if not loop.restarts_itself(view, it)]
    if view.processing.state is ProcessingState.COMPLETE:
        preview = loop.publication_preview(view)
        if preview.obstacle and not preview.unknown:
            waiting.append(f"Its constants cannot be published: {preview.obstacle}")
    if waiting:
        raise DemoFailed(
            f"The demo cannot end by itself. {' '.join(waiting)}",
            "Decide it on the page, under Needs me, then give the command again."
            f" `b2cal jobs {PROCESSING} NAME` shows errors and folders of jobs.",
        )


def _planted_checks(settings: Settings) -> set[str]:
    """The checks that the simulated detector must violate, as `script.check`."""
    story = json.loads((settings.folder("data") / "truth.json").read_text())
    return {plant["check"] for plant in story["planted"]}


def _bad_checks(calibration: Calibration, verdict: Verdict) -> set[str]:
    module = calibration.definition.module
    return {f"{module}.{check['name']}" for check in verdict.checks if check["grade"] != Grade.PASS}


def _sign_off(desk: Desk, calibration_id: int, version: int) -> None:
    def unit(db: Session) -> None:
        act = Act(loop.manager(db, MANAGER), version, "The crate was exchanged before this run: the jump is real.")
        loop.sign_off(db, calibration_id, act)

    with suppress(loop.Conflict):  # somebody was quicker
        desk.workplace.database.write(unit)


def _show_result(desk: Desk, settings: Settings) -> int:
    """Compare the published constants with the truth; keep the rows for the site, print the table."""
    workplace = open_workplace(settings)
    with workplace.database.read() as db:
        entries = conditions.tag_entries(db, conditions.tag_named(db, TAG).id)
    found = settings.folder("found.json")
    listed = [{**_as_json(entry), "path": str(workplace.store.path(entry.identity))} for entry in entries]
    write_atomically(found, json.dumps(listed))
    command = [sys.executable, str(TOYDETECTOR / "compare.py"), "--data", str(settings.folder("data"))]
    command += ["--found", str(found)]
    rows = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    if not rows.stdout:
        raise DemoFailed("The comparison with the truth failed.", rows.stderr.strip())
    write_atomically(settings.folder("result.json"), rows.stdout)
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    desk.console.print(f"\n{shown.stdout}", soft_wrap=True)
    return rows.returncode


def _as_json(entry: Entry) -> Mapping[str, Any]:
    first, last = entry.iov.to_json()
    return {"name": entry.name, "first": first, "last": last}
