"""Until when calibrations can be done again: their inputs are not kept for ever."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from b2cal import releases
from b2cal.data import Inputs, expiry_of_attempt, expiry_of_streams
from b2cal.model import Calibration, Kind, Processing, State, Submission, now

from .errors import Conflict
from .inputs import selection_by_default
from .rules import GOING, Verb
from .view import ProcessingView
from .windows_and_reminders import spoken

WARNED = timedelta(days=7)
"""How long before inputs expire managers are told."""

_LONGER = "If their storage keeps them longer, `b2cal data expire FOLDER DATE` says so."


@dataclass(frozen=True)
class Expiring:
    """A processing that is going on, and when the first of its inputs expires."""

    processing: str
    at: datetime

    def told(self, now: datetime) -> str:
        """A sentence for its manager."""
        if self.at <= now:
            return f"Inputs of {self.processing} have expired, the first on {day(self.at)}. {_LONGER}"
        left = spoken(self.at - now)
        return f"Inputs of {self.processing} expire on {day(self.at)}, in {left}: then nothing can be restarted."


def restart_until(view: ProcessingView, calibration: Calibration) -> datetime | None:
    """Until when a calibration can be run again; None: nothing ends that.

    That is when the first of the files expires that its attempt reads; before there is one, of those of its streams.
    """
    attempt = view.attempts.get(calibration.name)
    if attempt is not None:
        return expiry_of_attempt(view.db, attempt.id)
    return _expiry_of(view, [calibration])


def inputs_expire_at(view: ProcessingView) -> datetime | None:
    """When the first of the files expires that calibrations of a processing read, those that are vetoed aside."""
    return _expiry_of(view, [it for it in view.calibrations.values() if it.state is not State.VETOED])


def expiring(view: ProcessingView, at: datetime) -> Expiring | None:
    """A processing that is going on while its inputs expire soon, or have."""
    first = inputs_expire_at(view) if view.processing.state in GOING else None
    return Expiring(view.processing.name, first) if first is not None and first <= at + WARNED else None


def all_expiring(db: Session) -> list[Expiring]:
    """All of them."""
    going = db.scalars(select(Processing.id).where(Processing.state.in_(GOING)).order_by(Processing.id))
    found = (expiring(ProcessingView(db, processing_id), now(db)) for processing_id in going.all())
    return [it for it in found if it is not None]


def of_expiry(view: ProcessingView, calibration: Calibration, verb: Verb) -> Conflict | None:
    """What to tell who would run a calibration again whose inputs are not kept any more; else None."""
    if verb is not Verb.RESTART:
        return None
    until = restart_until(view, calibration)
    if until is None or until > now(view.db):
        return None
    return Conflict(
        f"{calibration.name} cannot be restarted: the first of the files that it read expired on {day(until)}.",
        hint=f"{_LONGER} Else keep what it has made, replace it by hand, or veto it.",
    )


def expired(inputs: Inputs, at: datetime) -> str:
    """What is wrong with files that are not kept any more, in a sentence; empty if there are none."""
    ends = {it.file.id: it.file.expires_at for it in inputs.files}
    gone = [end for end in ends.values() if end is not None and end <= at]
    if not gone:
        return ""
    return f"{len(gone)} of the {len(ends)} files of its inputs have expired, the first on {day(min(gone))}. {_LONGER}"


def day(at: datetime) -> str:
    """A day for people, in UTC: `3 Dec 2026`."""
    return f"{at.day} {at:%b %Y}"


def _expiry_of(view: ProcessingView, calibrations: Collection[Calibration]) -> datetime | None:
    submitted = select(Submission.calibration_id, Submission.selection).where(
        Submission.calibration_id.in_([it.id for it in calibrations]), Submission.live.is_(True)
    )
    selections = {row.calibration_id: row.selection for row in view.db.execute(submitted)}
    vocabulary = view.processing.release.vocabulary
    streams = {
        stream
        for it in calibrations
        if it.kind is not Kind.COPY
        for filters in [selections.get(it.id, selection_by_default(it)).get("filters", {})]
        for name in it.definition.settings["input_data_names"]
        for stream in releases.streams_of(vocabulary, name, filters.get(name, ()))
    }
    return expiry_of_streams(view.db, streams, view.processing.run_first, view.processing.run_last)
