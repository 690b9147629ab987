"""`b2cal calibration` and `b2cal why`: the verbs of the loop for one calibration."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import click
from sqlalchemy.orm import Session

from b2cal import loop
from b2cal.core.json_text import parsed
from b2cal.loop import Act, Choice, FromTag, LocalDatabase, PayloadFiles, ProcessingView, Source
from b2cal.model import Calibration, now

from .desk import REASON, Desk, pass_desk

Decorator = Callable[[Callable[..., None]], Callable[..., None]]
Result = TypeVar("Result")


class _Value(click.ParamType[tuple[str, Any]]):
    """KEY=VALUE; the value is JSON, or a text where it is none."""

    name = "KEY=VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        if isinstance(value, tuple):
            return value
        key, equals, text = str(value).partition("=")
        if not equals:
            self.fail(f"{value!r} has no '='. Write KEY=VALUE, for instance max_events=20000.", param, ctx)
        try:
            return key, parsed(text)
        except ValueError:
            return key, text


def _decide(
    desk: Desk, processing: str, name: str, reason: str, doing: Callable[[Session, Calibration, Act], Result]
) -> Result:
    """One verb in one transaction, with the version that this command has just seen."""

    def unit(db: Session) -> Result:
        calibration = ProcessingView.of(db, processing).calibration(name)
        by = loop.actor(db, desk.username, calibration)
        return doing(db, calibration, Act(by, calibration.version, reason))

    return desk.write(unit)


def _act(
    desk: Desk,
    processing: str,
    name: str,
    reason: str,
    doing: Callable[[Session, Calibration, Act], object],
    *,
    done: str,
) -> None:
    """The same for a verb after which there is nothing to say but that it is done."""
    _decide(desk, processing, name, reason, doing)
    desk.done(f"{name} in {processing}: {done}.", processing=processing, calibration=name)


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_PLACE = click.Path(exists=True, path_type=Path)
_NAMES = [click.argument("processing"), click.argument("name")]


def _taking(*more: Decorator) -> Decorator:
    """What every verb takes, and its own arguments after the names."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        decorators: list[Decorator] = [*_NAMES, *more, REASON, pass_desk]
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


_verb = _taking()


@click.group()
def calibration() -> None:
    """Act on one calibration."""


@calibration.command()
@click.option("--set", "changes", type=_Value(), multiple=True, help="Change a key of expert_config.")
@click.option("--selection", type=str, help="JSON of another selection; without `filters` those by default.")
@_verb
def submit(
    desk: Desk, *, processing: str, name: str, reason: str, changes: tuple[tuple[str, Any], ...], selection: str | None
) -> None:
    """Submit with the defaults, or with changes on top of them."""
    try:
        choice = Choice(dict(changes), parsed(selection) if selection else None)
    except ValueError as error:
        raise click.BadParameter(f"not JSON: {error}", param_hint="--selection") from error

    def doing(db: Session, calibration: Calibration, act: Act) -> str:
        submission = loop.submit(db, calibration.id, choice, act)
        return loop.Rejections(ProcessingView.of(db, processing), submission.calibration).repeated_by(submission)

    warning = _decide(desk, processing, name, reason, doing)
    sentence = f"{name} in {processing}: submitted. {warning}".rstrip()
    desk.done(sentence, processing=processing, calibration=name, warning=warning)


def _plain(command: str, verb: Callable[[Session, int, Act], None], does: str, done: str) -> None:
    """A verb that needs nothing but a reason."""

    @calibration.command(command, help=does)
    @_verb
    def act(desk: Desk, *, processing: str, name: str, reason: str) -> None:
        _act(desk, processing, name, reason, lambda db, it, by: verb(db, it.id, by), done=done)


_plain("withdraw", loop.withdraw, "Take a submission back before the window ends.", "open again")
_plain("sign-off", loop.sign_off, "Accept the new constants.", "signed off")
_plain("reject", loop.reject, "Send it back to its expert, with a new window.", "rejected, open again")
_plain("restart", loop.restart, "Run the same submission again.", "restarted")
_plain("lift", loop.lift, "Take a veto back.", "open again")
_plain("keep", loop.keep, "Keep signed-off constants although something that they read has changed.", "kept")
_plain("go-on", loop.go_on, "Start with the inputs that are there.", "goes on")
_plain("cancel-jobs", loop.cancel_jobs, "Cancel its jobs; it has failed then.", "failed, its jobs are being cancelled")


@calibration.command()
@_verb
def retry_jobs(desk: Desk, *, processing: str, name: str, reason: str) -> None:
    """Do only its failed jobs again; what the others have done is kept."""
    with desk.workplace.database.read() as db:
        number = ProcessingView.of(db, processing).calibration(name).id
    loop.check_kept_outputs(desk.workplace, number)
    redone = _decide(desk, processing, name, reason, lambda db, it, act: loop.retry_jobs(db, it.id, act))
    desk.done(f"{name} in {processing}: {redone}.", processing=processing, calibration=name, **asdict(redone))


@calibration.command()
@click.option("--file", "files", type=_FILE, multiple=True, help="A payload file, for all runs of the processing.")
@click.option("--database", type=_PLACE, help="A local database: database.txt, its folder, or a .tar or .zip of it.")
@click.option("--tag", help="A global tag that holds the payloads; they are clipped to the runs.")
@_verb
def replace(
    desk: Desk, *, processing: str, name: str, reason: str, files: tuple[Path, ...], database: Path | None, tag: str
) -> None:
    """Put payloads made by hand in the place of what it made; they are judged like any others."""
    sources: list[Source] = []
    sources += [PayloadFiles(files)] if files else []
    sources += [LocalDatabase(database)] if database else []
    sources += [FromTag(tag)] if tag else []
    if len(sources) != 1:
        raise click.UsageError("Give the payloads in one way: --file (once for each payload), --database or --tag.")
    with desk.workplace.database.read() as db:
        view = ProcessingView.of(db, processing)
        it = view.calibration(name)
        act = Act(loop.actor(db, desk.username, it), it.version, reason)
        others = loop.consequences(view, name)
    made = loop.brought_by_hand(desk.workplace, it.id, sources[0], act)
    desk.write(lambda db: loop.replace(db, it.id, made, act))
    doubt = f"; in doubt until then: {', '.join(others)}" if others else ""
    sentence = f"{name} in {processing}: replaced by hand from {made.origin}, to be judged{doubt}."
    desk.done(sentence, processing=processing, calibration=name, in_doubt=others)


@calibration.command()
@click.option("--fallback", help="Global tag whose constants stand in (default: those of the base).")
@_verb
def veto(desk: Desk, *, processing: str, name: str, reason: str, fallback: str | None) -> None:
    """Leave it out; its jobs are cancelled."""
    _act(desk, processing, name, reason, lambda db, c, act: loop.veto(db, c.id, act, fallback), done="vetoed")


@calibration.command()
@_taking(click.argument("expert"))
def reassign(desk: Desk, *, processing: str, name: str, reason: str, expert: str) -> None:
    """Make somebody else responsible."""
    _act(
        desk, processing, name, reason, lambda db, c, act: loop.reassign(db, c.id, expert, act), done=f"now of {expert}"
    )


@calibration.command()
@_taking(
    click.argument("deputy", required=False),
    click.option("--nobody", is_flag=True, help="Take the deputy away."),
)
def deputy(desk: Desk, *, processing: str, name: str, reason: str, deputy: str | None, nobody: bool) -> None:
    """Let DEPUTY act for the expert, or nobody any more."""
    if (deputy is None) != nobody:
        raise click.UsageError("Give the login name of the deputy, or --nobody.")
    _act(
        desk,
        processing,
        name,
        reason,
        lambda db, c, act: loop.name_deputy(db, c.id, deputy, act),
        done=f"its deputy is {deputy or 'nobody'}",
    )


@calibration.command()
@_taking(click.argument("hours", type=float))
def extend(desk: Desk, *, processing: str, name: str, reason: str, hours: float) -> None:
    """Let its window end HOURS later."""
    _act(
        desk, processing, name, reason, lambda db, c, act: loop.extend(db, c.id, hours, act), done=f"{hours:g} h longer"
    )


@click.command()
@click.argument("processing")
@click.argument("name", required=False)
@pass_desk
def why(desk: Desk, processing: str, name: str | None) -> None:
    """Say in one sentence each what the calibrations of PROCESSING wait for, and once it is complete, what it does."""
    with desk.workplace.database.read() as db:
        view = ProcessingView.of(db, processing)
        chosen = [view.calibration(name)] if name else list(view.calibrations.values())
        facts: list[dict[str, str | None]] = [
            {"calibration": c.name, "state": c.state.value, "why": loop.why(view, c, now(db)).sentence} for c in chosen
        ]
        words = [loop.state_in_words(c.state, view.processing.state) for c in chosen]
        as_a_whole = "" if name else loop.why_unpublished(view)
        if as_a_whole:
            facts.append({"calibration": None, "state": view.processing.state.value, "why": as_a_whole})
            words.append(view.processing.state.value)
    rows = [(fact["calibration"] or processing, word, fact["why"]) for fact, word in zip(facts, words, strict=True)]
    desk.show(facts, lambda: desk.table(processing, ("Calibration", "State", "Why"), rows))
