"""What every command works with: the workplace, who acts, and where its answer goes."""

import getpass
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy import inspect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from b2cal import loop
from b2cal.core.errors import B2calError
from b2cal.loop import Actor
from b2cal.model import Role, schema
from b2cal.settings import Settings, read_settings

Result = TypeVar("Result")


class NotReady(B2calError):
    """b2cal was not set up here."""


class NotConfirmed(B2calError):
    """What cannot be taken back was not agreed to."""


class DatabaseTrouble(B2calError):
    """The calibration database does not answer, is damaged, or has the schema of another b2cal."""


_FILE_TROUBLE = (
    "See that the file is whole, that you may write it and its folder, and that the disk has room."
    " A damaged one has to come back from the backup."
)
_SERVER_TROUBLE = "See that the server runs, and that `database_url` names it with the right user and password."


INTERRUPTED = 130
"""Exit code of a command that was interrupted before its end."""

_UNLIMITED = 100_000


class Desk:
    """Made once per command."""

    def __init__(self, username: str | None, *, as_json: bool) -> None:
        self._username = username
        self.as_json = as_json
        # Texts come from scripts, files and people: a bracket in them is a bracket, and `:x:` no picture.
        self.console = Console(highlight=False, markup=False, emoji=False)
        if not self.console.is_terminal:
            self.console.width = _UNLIMITED  # who reads a pipe or a file wants whole lines
        self.errors = Console(stderr=True, highlight=False, markup=False, emoji=False)

    @cached_property
    def settings(self) -> Settings:
        """The settings of this process.

        Raises:
            SettingsRefused: they cannot be used.
        """
        return read_settings()

    @cached_property
    def workplace(self) -> loop.Workplace:
        """Settings and database.

        Raises:
            NotReady: there is no database yet.
            DBAPIError: there is one that cannot be asked; see `trouble`.
        """
        workplace = loop.open_workplace(self.settings)
        engine = workplace.database.engine
        # SQLite makes the file of a database that is not there; to ask for one must leave no file behind.
        file = engine.url.database if engine.dialect.name == "sqlite" else None
        if (file and not Path(file).exists()) or not inspect(engine).has_table("processing"):
            raise NotReady(
                f"There is no calibration database at {engine.url.render_as_string()}.",
                "Run `b2cal init` here, or set B2CAL_HOME to the folder of an existing one.",
            )
        return workplace

    @property
    def username(self) -> str:
        """Who acts."""
        return self._username or getpass.getuser()

    def operator(self, db: Session) -> Actor:
        """Who acts, with the rights of whoever may write the home folder: those of a manager.

        Until there is a manager everything is being set up. From then on who was named by `--as` or B2CAL_USER must be
        one, and so must the account itself if somebody of its name has a password or was removed.

        Raises:
            NotFound: a name was given, and nobody is known by it.
            NotAllowed: not a manager, or without a password.
        """
        if loop.managers(db) and (self._username or loop.rights_decided(db, self.username)):
            return loop.manager(db, self.username)
        return Actor(self.username, Role.MANAGER)

    def check_operator(self) -> None:
        """See that who acts may do what takes nobody's part, such as adding a release.

        Raises:
            NotFound: a name was given, and nobody is known by it.
            NotAllowed: not a manager, or without a password.
        """
        with self.workplace.database.read() as db:
            self.operator(db)

    def write(self, unit: Callable[[Session], Result]) -> Result:
        """One transaction."""
        return self.workplace.database.write(unit)

    def show(self, value: Any, human: Callable[[], None]) -> None:
        """Print `value` as JSON where programs read, else let `human` print."""
        if self.as_json:
            json.dump(value, sys.stdout, indent=1, default=str)
            sys.stdout.write("\n")
        else:
            human()

    def line(self, value: Any) -> None:
        """Print `value` as JSON in one line, at once: one of several that a program reads as they come."""
        click.echo(json.dumps(value, default=str))  # which leaves no line in a buffer

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print a table."""
        table = Table(title=title, title_justify="left", header_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold")  # a path that is cut is of no use
        for row in rows:
            table.add_row(*map(str, row))
        self.console.print(table)

    def ask(self, change: str) -> None:
        """Say what will change, and ask whether it shall.

        Raises:
            NotConfirmed: it shall not, or there is no terminal to ask at.
        """
        if not sys.stdin.isatty():
            raise NotConfirmed(
                f"{change} Nothing was changed: there is no terminal to ask whether it shall.",
                "If it shall, give the command again with `--yes`.",
            )
        click.echo(change, err=True)  # the answer of a command is all that stands on its standard output
        if not click.confirm("Shall it be so?", err=True):
            raise NotConfirmed("Nothing was changed.")

    def done(self, sentence: str, **facts: object) -> None:
        """Say what was done."""
        self.show({"done": sentence, **facts}, lambda: self.marked("✓", "green", sentence))

    def marked(self, mark: str, colour: str, sentence: str) -> None:
        """Print a sentence behind a coloured mark."""
        self.console.print(Text.assemble((mark, colour), f" {sentence}"))


def trouble(error: DBAPIError, settings: Settings) -> DatabaseTrouble:
    """An error of the calibration database as a sentence: what it said, and what to do."""
    database = loop.open_workplace(settings).database
    url = database.engine.url
    hint = _FILE_TROUBLE if url.get_backend_name() == "sqlite" else _SERVER_TROUBLE
    with suppress(DBAPIError):
        present, newest = schema(database)
        if present != newest:
            remedy = schema_remedy(present, newest)
            hint = f"Its schema is {present}, this b2cal needs {newest}: {remedy}."
    database.dispose()
    said = error.orig.args[-1] if error.orig is not None and error.orig.args else error
    return DatabaseTrouble(f"The calibration database at {url.render_as_string()} cannot be used: {said}.", hint)


def schema_remedy(present: str | None, newest: str | None) -> str:
    """What to do about a database with the schema of another b2cal; part of a sentence."""
    if present is not None and newest is not None and present > newest:  # revisions are numbered
        return "this b2cal is older than the one that upgraded it: use that one"
    return "stop b2cal and run `b2cal init`"


REASON = click.option("--reason", "-m", default="", help="Why; kept with the decision.")
YES = click.option("--yes", "-y", is_flag=True, help="Do not ask first: for scripts.")


def local(moment: datetime) -> str:
    """A point in time where the terminal is: `Fri 27 Nov 2026, 21:00 JST`."""
    here = moment.astimezone()
    return f"{here:%a} {here.day} {here:%b %Y, %H:%M %Z}"


pass_desk = click.make_pass_decorator(Desk)
