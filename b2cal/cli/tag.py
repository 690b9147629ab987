"""`b2cal tag`."""

from pathlib import Path

import click
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from b2cal import conditions, loop
from b2cal.conditions import Entry
from b2cal.core.errors import listed
from b2cal.core.iov import IoV
from b2cal.loop import Act
from b2cal.model import GlobalTag, TagIov, TagState

from .desk import REASON, YES, Desk, pass_desk
from .ranges import Runs


@click.group()
def tag() -> None:
    """Global tags and what they hold."""


@tag.command()
@click.argument("name")
@pass_desk
def create(desk: Desk, name: str) -> None:
    """Make an empty tag."""
    desk.write(lambda db: loop.create_tag(db, name, Act(loop.manager(db, desk.username), seen=0)))
    desk.done(f"The tag {name} is there, open and empty.")


@tag.command()
@click.argument("name")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--runs", type=Runs(), required=True, help="First and last run of their validity.")
@click.option("--open-end", is_flag=True, help="Leave the end open instead.")
@REASON
@pass_desk
def add(desk: Desk, name: str, files: tuple[Path, ...], *, runs: IoV, open_end: bool, reason: str) -> None:
    """Check payload files and put them into a tag."""
    with desk.workplace.database.read() as db:
        by = loop.manager(db, desk.username)
    checks = conditions.check_files(files)
    problems = [problem for check in checks for problem in check.problems]
    if problems:
        raise conditions.PublicationRefused(
            f"Nothing was put into {name}: {listed(problems)}.", "Correct the files and try again."
        )
    stored = [desk.workplace.store.put(check.path, check.identity, check.checksum) for check in checks]
    iov = IoV(runs.first, None) if open_end else runs

    def unit(db: Session) -> None:
        target = conditions.tag_named(db, name)
        entries = [
            Entry(
                check.name,
                iov.first.number,
                iov.last_number,
                conditions.store_payload(db, check.name, check.identity, file.checksum, file.size_bytes),
                check.identity,
            )
            for check, file in zip(checks, stored, strict=True)
        ]
        loop.add_to_tag(db, target, entries, Act(by, target.version, reason))

    desk.write(unit)
    desk.done(f"{len(files)} payloads in {name}, valid for {iov}.")


@tag.command()
@click.argument("source")
@click.argument("name")
@REASON
@pass_desk
def copy(desk: Desk, source: str, name: str, *, reason: str) -> None:
    """Make an open tag NAME that holds what SOURCE holds now."""

    def unit(db: Session) -> None:
        by = loop.manager(db, desk.username)
        it = conditions.tag_named(db, source)
        loop.copy_tag(db, it, name, Act(by, it.version, reason))

    desk.write(unit)
    desk.done(f"The tag {name} is there, open, with what {source} holds.")


@tag.command()
@click.argument("name", required=False)
@pass_desk
def show(desk: Desk, name: str | None) -> None:
    """List the tags, or the IoVs of one."""
    with desk.workplace.database.read() as db:
        if name is None:
            query = (
                select(GlobalTag.name, GlobalTag.state, func.count(TagIov.id)).outerjoin(TagIov).group_by(GlobalTag.id)
            )
            rows: list[tuple[object, ...]] = [(n, state.value, count) for n, state, count in db.execute(query)]
            columns, keys = ("Tag", "State", "IoVs"), ("name", "state", "iovs")
        else:
            entries = conditions.tag_entries(db, conditions.tag_named(db, name).id)
            rows = [(e.name, str(e.iov), e.identity) for e in entries]
            columns, keys = ("Payload", "IoV", "Identity"), ("payload", "iov", "identity")
    shown = [(*row[:-1], str(row[-1])[:12]) for row in rows]  # of an identity people need the beginning
    desk.show([dict(zip(keys, row, strict=True)) for row in rows], lambda: desk.table(name or "Tags", columns, shown))


@tag.command("set-state")
@click.argument("name")
@click.argument("state", type=click.Choice([state.value for state in TagState if state is not TagState.INVALID]))
@REASON
@YES
@pass_desk
def set_state(desk: Desk, name: str, state: str, *, reason: str, yes: bool) -> None:
    """Change the state of a tag, where the rules allow it. Running and published are final."""
    with desk.workplace.database.read() as db:
        by = loop.manager(db, desk.username)
        it = conditions.tag_named(db, name)
        seen, change = it.version, conditions.state_change(it, TagState(state))
    if change and not yes:
        desk.ask(change)

    def unit(db: Session) -> None:
        loop.set_tag_state(db, conditions.tag_named(db, name), TagState(state), Act(by, seen, reason))

    desk.write(unit)
    desk.done(f"The tag {name} is {state}.")
