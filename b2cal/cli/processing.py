"""`b2cal processing`."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import click
from rich.live import Live
from sqlalchemy import select
from sqlalchemy.orm import Session

from b2cal import loop
from b2cal.batch import known_centre
from b2cal.conditions import Change
from b2cal.core.iov import IoV
from b2cal.loop import Act, NewProcessing, ProcessingView, Room
from b2cal.model import (
    BarrierPolicy,
    NoVerdictPolicy,
    Processing,
    ProcessingKind,
    ProcessingState,
    PublishPolicy,
    SignOffPolicy,
    StartPolicy,
    State,
    now,
)

from .desk import REASON, Desk, local, pass_desk
from .picture import overview, picture
from .ranges import Days, Runs

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


@click.group()
def processing() -> None:
    """Passes of the loop over a run range."""


def _policy(name: str, default: StrEnum) -> Decorator:
    return click.option(
        f"--{name}", type=click.Choice([item.value for item in type(default)]), default=default.value, show_default=True
    )


@processing.command()
@click.argument("name")
@click.option("--runs", type=Runs(), required=True, help="Run range, for instance e26r180-e26r1967.")
@click.option("--release", "release_name", required=True)
@click.option("--tag", required=True, help="Global tag to publish to.")
@click.option("--base", help="Global tag with the constants to begin with (default: the same).")
@click.option("--centre", default="local", show_default=True, help="Where its jobs run.")
@_policy("kind", ProcessingKind.PROMPT)
@click.option("--window-h", type=click.FloatRange(min=0, min_open=True), help="Length of the window (default: 48).")
@click.option("--blocked", type=Days(), multiple=True, help="Days on which windows do not run down; may be repeated.")
@click.option("--zone", help="Time zone of the blocked days, for instance Asia/Tokyo.")
@_policy("start", StartPolicy.READY)
@_policy("barrier", BarrierPolicy.NONE)
@_policy("sign-off", SignOffPolicy.AUTO)
@_policy("no-verdict", NoVerdictPolicy.GENERIC)
@_policy("publish", PublishPolicy.AUTO)
@click.option("--veto", "vetoes", multiple=True, metavar="CALIBRATION", help="Leave it out from the start.")
@click.option("--planned", is_flag=True, help="Only plan it: its windows open with `processing activate`.")
@click.option("--reason", "-m", default="", help="Why, although there is too little room; kept with the decision.")
@pass_desk
def create(desk: Desk, /, **asked: Any) -> None:
    """Plan a processing and, if it is not only to be planned, open its windows."""
    if asked["blocked"] and not asked["zone"]:
        raise click.UsageError("--blocked needs --zone: when a day begins depends on where.")
    times = desk.settings.loop
    wanted = NewProcessing(
        name=asked["name"],
        runs=asked["runs"],
        release=asked["release_name"],
        manager=desk.username,
        base_tag=asked["base"] or asked["tag"],
        target_tag=asked["tag"],
        centre=known_centre(desk.settings, asked["centre"]),
        kind=ProcessingKind(asked["kind"]),
        window_s=asked["window_h"] * 3600 if asked["window_h"] else times.window_s,
        reject_window_s=times.reject_window_s,
        inputs_patience_s=times.inputs_patience_s,
        blocked=tuple(day for days in asked["blocked"] for day in days),
        zone=asked["zone"] or "UTC",
        start=StartPolicy(asked["start"]),
        barrier=BarrierPolicy(asked["barrier"]),
        sign_off=SignOffPolicy(asked["sign_off"]),
        no_verdict=NoVerdictPolicy(asked["no_verdict"]),
        publish=PublishPolicy(asked["publish"]),
        vetoes=asked["vetoes"],
    )

    if asked["planned"]:
        warning = desk.write(lambda db: loop.published_before(db, loop.create_processing(db, wanted)))
        to_do = f"`b2cal processing activate {wanted.name}` opens its windows."
        desk.done(f"{wanted.name} is planned. {to_do} {warning}".rstrip(), processing=wanted.name, warning=warning)
        return

    loop.see_that_fit(desk.workplace, wanted.centre)
    room = loop.look_for_room(desk.workplace, wanted.release, wanted.runs, wanted.centre, wanted.vetoes)

    def unit(db: Session) -> _Opened:
        planned = loop.create_processing(db, wanted)
        return _activate(db, planned.id, room, Act(loop.manager(db, desk.username), planned.version, asked["reason"]))

    _tell_opened(desk, wanted.name, desk.write(unit))


@processing.command()
@click.argument("name")
@REASON
@pass_desk
def activate(desk: Desk, name: str, reason: str) -> None:
    """Open the windows of a planned processing; from now its release, graph and base are fixed.

    Where there is too little room for what it will write, that needs a reason.
    """
    room = loop.see_that_ready(desk.workplace, name, desk.username)

    def unit(db: Session) -> _Opened:
        number, act = _managed(db, desk, name, reason)
        return _activate(db, number, room, act)

    _tell_opened(desk, name, desk.write(unit))


@dataclass(frozen=True)
class _Opened:
    """What a manager should know of a processing that has become active."""

    manager: str
    windows_end_at: datetime | None
    vetoed: list[str]
    without_password: list[str]
    published_before: str


def _activate(db: Session, number: int, room: Room, act: Act) -> _Opened:
    active = loop.activate(db, number, room, act)
    return _Opened(
        active.manager,
        ProcessingView(db, number).windows_end_at(now(db)),
        [it.name for it in active.calibrations if it.state is State.VETOED],
        sorted({it.expert for it in active.calibrations} & loop.without_password(db)),
        loop.published_before(db, active),
    )


def _tell_opened(desk: Desk, name: str, opened: _Opened) -> None:
    absent = ", ".join(opened.without_password)
    until = f" until {local(opened.windows_end_at)}" if opened.windows_end_at else ""
    left_out = f" Left out: {', '.join(opened.vetoed)}." if opened.vetoed else ""
    notice = (
        f" Experts who cannot log in yet: {absent}; what they should decide is put to {opened.manager}."
        " `b2cal person add NAME` gives them a password."
    )
    desk.done(
        f"{name} is active: the windows of all calibrations are open{until}.{left_out}{notice if absent else ''}"
        f" {opened.published_before}".rstrip(),
        processing=name,
        windows_end_at=opened.windows_end_at,
        vetoed=opened.vetoed,
        experts_without_password=opened.without_password,
        warning=opened.published_before,
    )


@processing.command("list")
@pass_desk
def list_all(desk: Desk) -> None:
    """List all processings, the newest first."""
    with desk.workplace.database.read() as db:
        rows = [
            (p.name, p.kind.value, p.state.value, IoV.from_numbers(p.run_first, p.run_last), p.manager)
            for p in db.scalars(select(Processing).order_by(Processing.id.desc()))
        ]
    columns = ("Processing", "Kind", "State", "Runs", "Manager")
    desk.show(
        [dict(zip(("name", "kind", "state", "runs", "manager"), row, strict=True)) for row in rows],
        lambda: desk.table("Processings", columns, rows),
    )


@processing.command()
@click.argument("name")
@pass_desk
def show(desk: Desk, name: str) -> None:
    """Show one processing: every calibration with what it waits for, and what publishing will change."""
    facts = overview(desk, name)
    if facts["state"] == ProcessingState.PLANNED:
        facts["room"] = loop.room_for(desk.workplace, name).to_json()
    desk.show(facts, lambda: desk.console.print(picture(facts)))
    if not desk.as_json:
        for share in facts.get("room", ()):
            desk.console.print(f"  {loop.Share(**share)}")
        for line in [*(change["says"] for change in facts["publishing"]), facts["obstacle"]]:
            desk.console.print(f"  {line}")
        if facts["publishing"]:
            desk.console.print(f"  Mark of these changes: {facts['preview']}")


@processing.command()
@click.argument("name")
@click.option("--interval-s", type=click.FloatRange(0.2, 3600), default=1.0, show_default=True)
@pass_desk
def watch(desk: Desk, name: str, interval_s: float) -> None:
    """Follow a processing until it is published or cancelled.

    With --json it prints one line for each change, a document like that of `processing show`; that only time passes, in
    `at` and `why`, is no change.
    """
    if desk.as_json:
        _tell_changes(desk, _followed(desk, name, interval_s))
        return
    with Live(console=desk.console, auto_refresh=False) as live:
        for facts in _followed(desk, name, interval_s):
            live.update(picture(facts), refresh=True)


def _followed(desk: Desk, name: str, interval_s: float) -> Iterator[dict[str, Any]]:
    """A processing again and again, at last when it is over."""
    while True:
        facts = overview(desk, name)
        yield facts
        if facts["state"] in (ProcessingState.PUBLISHED, ProcessingState.CANCELLED):
            return
        time.sleep(interval_s)


def _tell_changes(desk: Desk, followed: Iterable[dict[str, Any]]) -> None:
    told = None
    for facts in followed:
        calibrations = [row | {"why": loop.without_durations(row["why"])} for row in facts["calibrations"]]
        if (lasting := facts | {"at": None, "calibrations": calibrations}) != told:
            desk.line(facts)
            told = lasting


@processing.command()
@click.argument("name")
@click.option("--preview", metavar="MARK", help="Only if it changes what `processing show` listed under this mark.")
@REASON
@pass_desk
def publish(desk: Desk, name: str, reason: str, preview: str | None) -> None:
    """Publish a complete processing into its tag, all or nothing."""

    def unit(db: Session) -> list[Change]:
        number, act = _managed(db, desk, name, reason)
        return loop.publish(db, number, act, preview)

    changes = desk.write(unit)
    desk.done(f"{name} is published: {len(changes)} payloads.", changes=[change.to_json() for change in changes])


@processing.command()
@click.argument("name")
@REASON
@pass_desk
def hold(desk: Desk, name: str, reason: str) -> None:
    """Let jobs drain and start nothing new."""
    desk.write(lambda db: loop.hold(db, *_managed(db, desk, name, reason)))
    desk.done(f"{name} is held.")


@processing.command()
@click.argument("name")
@pass_desk
def release(desk: Desk, name: str) -> None:
    """End a hold."""
    desk.write(lambda db: loop.release(db, *_managed(db, desk, name, "")))
    desk.done(f"{name} goes on.")


@processing.command()
@click.argument("name")
@REASON
@pass_desk
def take_over(desk: Desk, name: str, reason: str) -> None:
    """Become its manager: what it asks of its manager is asked of you."""
    desk.write(lambda db: loop.take_over(db, *_managed(db, desk, name, reason)))
    desk.done(f"{name} is yours.")


@processing.command()
@click.argument("name")
@REASON
@pass_desk
def cancel(desk: Desk, name: str, reason: str) -> None:
    """Give a processing up; nothing is published."""
    desk.write(lambda db: loop.cancel(db, *_managed(db, desk, name, reason)))
    desk.done(f"{name} is cancelled.")


@processing.command()
@click.argument("name")
@click.argument("subsystem")
@click.option("--fallback", help="Global tag whose constants stand in (default: those of the base).")
@REASON
@pass_desk
def veto(desk: Desk, name: str, subsystem: str, fallback: str | None, reason: str) -> None:
    """Leave every calibration of a subsystem out; their jobs are cancelled."""

    def unit(db: Session) -> tuple[tuple[str, ...], tuple[str, ...]]:
        known = {it.name: it.in_doubt for it in loop.subsystems(ProcessingView.of(db, name))}
        number, act = _managed(db, desk, name, reason)
        return loop.veto_subsystem(db, number, subsystem, act, fallback), known[subsystem]

    vetoed, in_doubt = desk.write(unit)
    doubt = f" In doubt by it: {', '.join(in_doubt)}." if in_doubt else ""
    sentence = f"{subsystem} is vetoed in {name}: {', '.join(vetoed)}.{doubt}"
    desk.done(sentence, processing=name, vetoed=vetoed, in_doubt=in_doubt)


def _managed(db: Session, desk: Desk, name: str, reason: str) -> tuple[int, Act]:
    it = ProcessingView.of(db, name).processing
    return it.id, Act(loop.manager(db, desk.username), it.version, reason)
