"""Outages of the site: what an open window loses while nobody can reach the site is given back to it.

The site leaves a sign of life in the database. Where the signs are missing for more than ten minutes it was away, for
whatever reason: stopped, hung, without its database, everything down, the machine asleep. Before its first sign ever
there is nothing to miss.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from b2cal.model import Calibration, Decision, Processing, SitePresence, State, now

from .actors import THE_LOOP
from .calendar import after, running
from .rules import GOING, Verb
from .transition import Act, raise_signals, transition
from .workplace import Workplace

SIGN_EVERY = timedelta(seconds=30)
"""How often the site shows that it is there."""

SHORTEST = timedelta(minutes=10)
"""A shorter absence is no outage."""

SHARE = 0.1
"""An absence of less than this part of a window is none for that window."""

PATIENCE = timedelta(days=7)
"""How long a window that is over waits for a site that is away. The loop can live without the site."""


@dataclass(frozen=True)
class Outage:
    """A time in which nobody could reach the site; `number` is that of the presence that ended it."""

    number: int
    began_at: datetime
    ended_at: datetime


def site_is_there(workplace: Workplace) -> None:
    """The site's sign of life, from any of its workers; after an outage it wakes the open windows."""
    with workplace.database.read() as db:
        latest = _latest(db)
        if latest is not None and now(db) - latest.seen_at < SIGN_EVERY / 2:
            return  # another worker has just told
    workplace.database.write(_note_presence)


def give_back(db: Session, it: Calibration) -> bool:
    """Extend the window of an open calibration by an outage, once for each; tells whether there was one to give back.

    What was left of the window when the site went is left of it from the site's return on.
    """
    outages = _outages(db, it)
    given = _given(db, it) if outages else set()
    outage = next((outage for outage in outages if _key(outage, it) not in given), None)
    if outage is None:
        return False
    began, ended, blocked = max(outage.began_at, _start(it)), outage.ended_at, it.processing.blocked_days
    reason = f"nobody could reach the site from {_spoken(began)} to {_spoken(ended)} UTC"
    with transition(db, it.id, Verb.EXTEND, Act(THE_LOOP, it.version, reason, _key(outage, it))) as change:
        it.window_ends_at = after(ended, running(began, _end(it), blocked), blocked)
        it.problem = ""
        change.detail(window_ends_at=it.window_ends_at.isoformat(), outage=[began.isoformat(), ended.isoformat()])
    return True


def site_awaited_since(db: Session, it: Calibration) -> datetime | None:
    """When the site was last seen, if it is away now for so long that this window will be extended; else None.

    None as well when it has been waited for long enough.
    """
    latest = _latest(db)
    if latest is None or not _counts(it, latest.seen_at, now(db)) or now(db) >= _patience_ends(it):
        return None
    return latest.seen_at


def gives_up_site_at(db: Session, it: Calibration) -> datetime | None:
    """When a window that is over stops to wait for the site; None while it does not wait for it."""
    over = it.state is State.OPEN and it.window_ends_at is not None and it.window_ends_at <= now(db)
    return _patience_ends(it) if over and site_awaited_since(db, it) is not None else None


def site_seen_at(db: Session) -> datetime | None:
    """The site's last sign of life; None: it never was there."""
    latest = _latest(db)
    return None if latest is None else latest.seen_at


def _note_presence(db: Session) -> None:
    latest, at = _latest(db), now(db)
    if latest is not None and at - latest.seen_at <= SHORTEST:
        latest.seen_at = max(latest.seen_at, at)
        return
    db.add(SitePresence(away_since=latest.seen_at if latest is not None else None, began_at=at, seen_at=at))
    db.flush()
    rows = db.execute(
        select(Calibration.processing_id, Calibration.name)
        .join(Processing, Processing.id == Calibration.processing_id)
        .where(Processing.state.in_(GOING), Calibration.state == State.OPEN)
    ).all()
    for processing_id in {row.processing_id for row in rows}:
        raise_signals(db, processing_id, {row.name for row in rows if row.processing_id == processing_id})


def _latest(db: Session) -> SitePresence | None:
    return db.scalar(select(SitePresence).order_by(SitePresence.id.desc()).limit(1))


def _outages(db: Session, it: Calibration) -> list[Outage]:
    """Outages that the present window is extended by, the earliest first."""
    rows = db.scalars(
        select(SitePresence)
        .where(SitePresence.away_since.is_not(None), SitePresence.began_at > it.window_started_at)
        .order_by(SitePresence.id)
    )
    outages = [Outage(row.id, row.away_since, row.began_at) for row in rows if row.away_since is not None]
    return [outage for outage in outages if _counts(it, outage.began_at, outage.ended_at)]


def _counts(it: Calibration, began: datetime, ended: datetime) -> bool:
    """Whether an absence fell into the window, and was long enough for it; on blocked days nobody loses anything."""
    began, blocked = max(began, _start(it)), it.processing.blocked_days
    enough = max(SHORTEST, SHARE * running(_start(it), _end(it), blocked))
    return began < _end(it) and running(began, ended, blocked) > enough


def _given(db: Session, it: Calibration) -> set[str | None]:
    extended = select(Decision.request_key).where(Decision.calibration_id == it.id, Decision.verb == Verb.EXTEND.value)
    return set(db.scalars(extended.where(Decision.actor == THE_LOOP.username)))


def _key(outage: Outage, it: Calibration) -> str:
    return f"outage:{outage.number}:{it.id}"


def _patience_ends(it: Calibration) -> datetime:
    return after(_end(it), PATIENCE, it.processing.blocked_days)


def _start(it: Calibration) -> datetime:
    assert it.window_started_at is not None, "an open calibration has a window"
    return it.window_started_at


def _end(it: Calibration) -> datetime:
    assert it.window_ends_at is not None, "an open calibration has a window"
    return it.window_ends_at


def _spoken(moment: datetime) -> str:
    return f"{moment.day} {moment:%b, %H:%M}"
