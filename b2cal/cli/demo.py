"""`b2cal demo`: a complete calibration loop on simulated data, from nothing to published constants."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import click
from rich.console import Group
from rich.live import Live
from rich.text import Text
from sqlalchemy.orm import Session

from b2cal import conditions, loop
from b2cal.batch import known_centre
from b2cal.conditions import Entry
from b2cal.core.files import write_atomically
from b2cal.loop import Act, ProcessingView, open_workplace
from b2cal.model import Calibration, Grade, ProcessingState, State, Verdict, migrate, now
from b2cal.settings import Settings

from .data import TOYDETECTOR
from .desk import INTERRUPTED, Desk, pass_desk
from .foreground import make_home, using
from .furnishing import (
    MANAGER,
    PROCESSING,
    SMALL,
    TAG,
    Asked,
    DemoFailed,
    NotTheDemo,
    Profile,
    Story,
    elsewhere,
    prepare,
)
from .picture import overview, picture
from .supervisor import Supervisor
from .up import addresses, running, troubles


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
@click.option("--seed", type=int, show_default="1", help="Of the simulated detector.")
@click.option("--centre", show_default="local", help="Where jobs run; behind its doors, if it has any, the data lie.")
@pass_desk
def demo(desk: Desk, *, profile: Profile | None, and_exit: bool, seed: int | None, centre: str | None) -> None:
    """Run a complete calibration loop on simulated data and show it.

    Exit code 1 if a type of constants is further from the truth than statistics allow (p <= 0.001), 130 if the demo is
    interrupted before that is known.
    """
    story = _begin(desk.settings, Asked(profile, seed, centre))
    settings = _settings(story.profile)
    small_by_itself = story.profile is SMALL and profile is None
    notice = f"This is the small demo, which this home holds. The full one: {elsewhere(settings)}"
    desk.console.print(f"b2cal demo ({story}) in {settings.folder('')}")
    if small_by_itself:
        desk.console.print(notice, style="yellow", soft_wrap=True)
    exit_code = INTERRUPTED
    try:
        with running(settings) as supervisor:
            desk.console.print(addresses(settings))
            desk.console.print(f"  log in as {', '.join(prepare(open_workplace(settings), story))}")
            desk.console.print("  (each with its name as password)\n")
            try:
                _follow(Desk(MANAGER, as_json=False), story.profile, supervisor)
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


def _begin(settings: Settings, asked: Asked) -> Story:
    """The demo in this home: that of the first time.

    Raises:
        NotTheDemo: there is a calibration database that no demo has made, or the settings name one; or the home holds
            another demo than the one that is asked for.
        UnknownCentre: the settings describe none of that name.
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
            return _as_begun(settings, Story.from_json(json.loads(marker.read_text())), asked)
        if settings.folder("b2cal.db").exists():
            raise NotTheDemo(
                f"{settings.folder('')} holds a calibration database that is no demo.",
                "Set B2CAL_HOME to another folder: the demo has accounts whose passwords everybody knows.",
            )
        story = asked.story()
        known_centre(settings, story.centre)
        make_home(settings.folder(""))
    write_atomically(marker, json.dumps(story.to_json()))
    migrate(settings.url)
    return story


def _as_begun(settings: Settings, begun: Story, asked: Asked) -> Story:
    if not asked.fits(begun):
        raise NotTheDemo(
            f"{settings.folder('')} holds the demo with the {begun} already.",
            f"Without --small, --seed and --centre it goes on. Another one: {elsewhere(settings)}",
        )
    known_centre(settings, begun.centre)
    return begun


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
                raise DemoFailed("Its processing was cancelled.", f"Another demo: {elsewhere(desk.settings)}")
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
