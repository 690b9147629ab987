"""`b2cal init` and `b2cal person`."""

import re
import sys

import click
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.security import generate_password_hash

from b2cal import loop
from b2cal.core.errors import B2calError
from b2cal.loop import Act
from b2cal.model import Person, Role, migrate

from .desk import Desk, pass_desk
from .foreground import make_home, using


@click.command()
@pass_desk
def init(desk: Desk) -> None:
    """Prepare the home folder and bring the database to the newest schema. May be repeated."""
    settings = desk.settings
    with using(settings.folder("")):
        make_home(settings.folder(""))
        for folder in (settings.store, settings.releases, settings.attempts, settings.reports):
            folder.mkdir(parents=True, exist_ok=True)
        settings.dags.mkdir(parents=True, exist_ok=True)
        settings.logs.mkdir(parents=True, exist_ok=True)
    migrate(settings.url)
    desk.done(f"Ready in {settings.home.absolute()}.", home=str(settings.home.absolute()))


class PersonRefused(B2calError):
    """A login name or a password that cannot be one, or the last manager is to go."""


_LOGIN = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}")


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
@click.option("--password", help="Asked for unless it is given, or only name or role change. Others may see it here.")
@click.option("--password-stdin", is_flag=True, help="The password is the first line of standard input: for scripts.")
@pass_desk
def add(
    desk: Desk,
    *,
    username: str,
    full_name: str | None,
    role: str | None,
    password: str | None,
    password_stdin: bool,
) -> None:
    """Let somebody log in, or give them another password, name or role.

    What is not named stays. Another password ends where they are logged in.
    """
    if password_stdin and password is not None:
        raise click.UsageError("Give --password or --password-stdin, not both.")
    if not _LOGIN.fullmatch(username):
        raise PersonRefused(
            f"{username!r} cannot be a login name.",
            "It begins with a letter and has up to 64 letters, digits, dots, underscores and hyphens.",
        )
    with desk.workplace.database.read() as db:
        desk.operator(db)  # before anybody types a password
        someone = db.get(Person, username)
        has_password = someone is not None and someone.password_hash != ""
    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    other_things = password is None and bool(full_name or role)
    hashed = None if has_password and other_things else _hashed(password)

    def unit(db: Session) -> Role:
        if role == Role.EXPERT:
            _keep_a_manager(db, username)
        return loop.let_in(
            db, username, hashed, Act(desk.operator(db), 0), full_name, Role(role) if role else None
        ).role

    holds = desk.write(unit)
    desk.done(f"{username} may log in as {holds.value}.", username=username, role=holds.value)


@person.command("remove")
@click.argument("username")
@pass_desk
def remove(desk: Desk, username: str) -> None:
    """Let somebody log in no more, and end where they are logged in. What they did stays in the history."""

    def unit(db: Session) -> None:
        act = Act(desk.operator(db), 0)
        loop.person_named(db, username)
        _keep_a_manager(db, username)
        loop.shut_out(db, username, act)

    desk.write(unit)
    desk.done(f"{username} may not log in any more.", username=username)


def _hashed(password: str | None) -> str:
    password = _asked_for() if password is None else password
    if not password:
        raise PersonRefused(
            "The password is empty.", "Type one when asked, or give it on standard input with `--password-stdin`."
        )
    return generate_password_hash(password)


def _asked_for() -> str:
    if not sys.stdin.isatty():
        raise PersonRefused(
            "There is no terminal to ask for the password.",
            "Give it on standard input: `b2cal person add NAME --password-stdin < FILE`.",
        )
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))


def _keep_a_manager(db: Session, leaving: str) -> None:
    """Without any nothing could be decided for those who are away, and no processing begun."""
    able = select(Person.username).where(Person.role == Role.MANAGER, Person.password_hash != "")
    if list(db.scalars(able)) == [leaving]:
        raise PersonRefused(
            f"{leaving} is the only manager.", "Make another one first: `b2cal person add NAME --role manager`."
        )


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
