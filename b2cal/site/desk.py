"""What every page needs at hand: the workplace, who is looking, in which zone, one snapshot of the database."""

from dataclasses import dataclass, field
from datetime import datetime
from threading import Semaphore

from flask import current_app, g, request
from flask_login import UserMixin, current_user
from sqlalchemy.orm import Session

from b2cal.loop import Workplace
from b2cal.model import Database, Person, Role
from b2cal.settings import Settings

from .entrance import Entrance
from .times import Reader, zone_named

LARGEST_NUMBER = 2**63 - 1
"""What a column of the database holds."""


@dataclass(frozen=True)
class Desk:
    """Made once per process of the site."""

    workplace: Workplace
    entrance: Entrance
    checks_files: Semaphore = field(default_factory=Semaphore)
    """Checking what somebody brings takes a while; the other threads of the process are for pages."""

    @property
    def settings(self) -> Settings:
        return self.workplace.settings

    @property
    def database(self) -> Database:
        return self.workplace.database


class Visitor(UserMixin):  # type: ignore[misc]
    """Somebody signed in; known to the browser by the token of the visit."""

    def __init__(self, token: str, person: Person) -> None:
        self.token = token
        self.username = person.username
        self.full_name = person.full_name
        self.is_manager = person.role is Role.MANAGER

    def get_id(self) -> str:
        return self.token


def desk() -> Desk:
    """The desk of the application that answers this request."""
    found: Desk = current_app.extensions["b2cal"]
    return found


def visitor() -> Visitor:
    """Who asked; only for pages that need a log-in."""
    if not isinstance(current_user._get_current_object(), Visitor):  # noqa: SLF001 (how Flask-Login's proxy is asked)
        raise TypeError("a page for people who are signed in is open to everybody")
    found: Visitor = current_user
    return found


def whoever() -> Visitor | None:
    """Who asked, for the frame of a page; nobody where the page tells that nothing works."""
    return None if g.get("is_broken") or not current_user.is_authenticated else visitor()


def reading() -> Session:
    """The session of this request: one snapshot for the whole page, closed with the request."""
    if "db" not in g:
        context = desk().database.read()
        g.db = context.__enter__()
        g.end_of_reading = context
    session: Session = g.db
    return session


def stop_reading(error: BaseException | None = None) -> None:
    """End the snapshot of this request."""
    context = g.pop("end_of_reading", None)
    g.pop("db", None)
    if context is not None:
        context.__exit__(None, None, None)


def at() -> datetime:
    """The time of this request: one for the whole page."""
    if "at" not in g:
        g.at = desk().database.clock.now()
    moment: datetime = g.at
    return moment


def reader() -> Reader:
    """In whose zone, and when, the page is written."""
    return Reader(zone_named(request.cookies.get("zone")), at())


def asked_number(name: str) -> int | None:
    """A number of the query that a row may have; None: there is none, or it is no such number."""
    number = request.args.get(name, type=int)
    return number if number is not None and 0 <= number <= LARGEST_NUMBER else None
