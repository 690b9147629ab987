"""`b2cal tag`."""

from pathlib import Path

import click
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from b2cal import conditions, loop
from b2cal.conditions import Entry
from b2cal.core.iov import IoV
from b2cal.model import GlobalTag, TagIov, TagState

from .desk import Desk, pass_desk
from .processing import Runs


@click.group()
def tag() -> None:
    """Global tags and what they hold."""


@tag.command()
@click.argument("name")
@pass_desk
def create(desk: Desk, name: str) -> None:
    """Make an empty tag."""
    desk.write(lambda db: conditions.create_tag(db, name))
    desk.done(f"The tag {name} is there, open and empty.")


@tag.command()
@click.argument("name")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--runs", type=Runs(), required=True, help="First and last run of their validity.")
@click.option("--open-end", is_flag=True, help="Leave the end open instead.")
@pass_desk
def add(desk: Desk, name: str, files: tuple[Path, ...], *, runs: IoV, open_end: bool) -> None:
    """Check payload files and put them into a tag."""
    checks = conditions.check_files(files)
    problems = [problem for check in checks for problem in check.problems]
    if problems:
        raise conditions.PublicationRefused(" ".join(problems), "Nothing was written. Correct the files.")
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
        conditions.publish(db, target.id, entries)
        loop.data_arrived(db)
        loop.tag_changed(db, target)

    desk.write(unit)
    desk.done(f"{len(files)} payloads in {name}, valid for {iov}.")


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
            rows = [(e.name, str(e.iov), e.identity[:12]) for e in entries]
            columns, keys = ("Payload", "IoV", "Identity"), ("payload", "iov", "identity")
    desk.show([dict(zip(keys, row, strict=True)) for row in rows], lambda: desk.table(name or "Tags", columns, rows))


@tag.command("set-state")
@click.argument("name")
@click.argument("state", type=click.Choice([state.value for state in TagState]))
@pass_desk
def set_state(desk: Desk, name: str, state: str) -> None:
    """Change the state of a tag, where the rules allow it."""
    desk.write(lambda db: conditions.set_tag_state(db, conditions.tag_named(db, name).id, TagState(state)))
    desk.done(f"The tag {name} is {state}.")
