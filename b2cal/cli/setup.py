"""`b2cal init` and `b2cal person`."""

import click
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.security import generate_password_hash

from b2cal import loop
from b2cal.model import Person, Role, migrate

from .desk import Desk, pass_desk
from .foreground import using


@click.command()
@pass_desk
def init(desk: Desk) -> None:
    """Prepare the home folder and bring the database to the newest schema. May be repeated."""
    settings = desk.settings
    with using(settings.folder("")):
        for folder in (settings.home, settings.store, settings.releases, settings.attempts, settings.reports):
            folder.mkdir(parents=True, exist_ok=True)
        settings.dags.mkdir(parents=True, exist_ok=True)
        settings.logs.mkdir(parents=True, exist_ok=True)
    migrate(settings.url)
    desk.done(f"Ready in {settings.home.absolute()}.", home=str(settings.home.absolute()))


@click.group()
def person() -> None:
    """People who may log in."""


@person.command("add")
@click.argument("username")
@click.option("--name", "full_name", help="Full name (default: as it is; at first the login name).")
@click.option(
    "--role",
    type=click.Choice([Role.EXPERT.value, Role.MANAGER.value]),
    help="What she may do (default: as it is; at first expert).",
)
@click.password_option(help="Asked for when it is not given.")
@pass_desk
def add(desk: Desk, username: str, full_name: str | None, role: str | None, password: str) -> None:
    """Let somebody log in, or give them another password, name or role; where they are logged in that ends."""
    hashed = generate_password_hash(password)

    def unit(db: Session) -> Role:
        known = db.get(Person, username) or Person(username=username, full_name=username, role=Role.EXPERT)
        known.password_hash = hashed
        known.full_name = full_name or known.full_name
        known.role = Role(role) if role else known.role
        db.add(known)
        return known.role

    holds = desk.write(unit)
    desk.done(f"{username} may log in as {holds.value}.", username=username, role=holds.value)


@person.command("remove")
@click.argument("username")
@pass_desk
def remove(desk: Desk, username: str) -> None:
    """Let somebody log in no more, and end where they are logged in. What they did stays in the history."""

    def unit(db: Session) -> None:
        loop.person_named(db, username).password_hash = ""

    desk.write(unit)
    desk.done(f"{username} may not log in any more.", username=username)


@person.command("list")
@pass_desk
def list_people(desk: Desk) -> None:
    """List everybody."""
    with desk.workplace.database.read() as db:
        people = db.scalars(select(Person).order_by(Person.username)).all()
    rows = [(p.username, p.full_name, p.role.value, "yes" if p.password_hash else "no") for p in people]
    desk.show(
        [dict(zip(("username", "full_name", "role", "may_log_in"), row, strict=True)) for row in rows],
        lambda: desk.table("People", ("Login", "Name", "Role", "May log in"), rows),
    )
