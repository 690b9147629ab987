"""What was rejected, by whom and why: b2cal does not submit it again by itself, and tells a person who does."""

from collections.abc import Set as AbstractSet
from functools import cached_property
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from b2cal.conditions import Entry
from b2cal.core.checksums import digest
from b2cal.data import Inputs
from b2cal.model import Attempt, Calibration, Decision, Kind, Submission

from .defaults import default_config
from .inputs import inputs_of, selection_by_default
from .rules import Verb
from .view import ProcessingView


def last_rejection(view: ProcessingView, calibration: Calibration) -> Decision | None:
    """The decision that rejected the latest attempt; None if there is none, or a later one has started."""
    latest = select(func.max(Decision.id)).where(
        Decision.calibration_id == calibration.id, Decision.verb.in_([Verb.REJECT, Verb.START])
    )
    return view.db.scalar(select(Decision).where(Decision.id == latest.scalar_subquery(), Decision.verb == Verb.REJECT))


def rejected_by(rejection: Decision) -> str:
    """Who rejected and why, as a sentence."""
    return f"Rejected by {rejection.actor}: {rejection.reason.rstrip('.')}."


class Rejections:
    """The rejected combinations of one calibration."""

    def __init__(self, view: ProcessingView, calibration: Calibration) -> None:
        self._view = view
        self._calibration = view.calibration(calibration.name)

    def repeated_by(self, submission: Submission) -> str:
        """That a submission is what was rejected before, as a sentence; empty if it is not."""
        if not self._hold(submission.config, submission.selection):
            return ""
        return "The same configuration on the same inputs and constants was rejected before."

    def hold_the_defaults(self) -> bool:
        """Whether the defaults on today's inputs and constants are a combination that was rejected."""
        return self._hold(default_config(self._calibration), selection_by_default(self._calibration))

    def hold_automatic(self, submission: Submission) -> bool:
        """The same for a submission, if it was automatic: a person may submit again what was rejected."""
        return submission.automatic and self._hold(submission.config, submission.selection)

    @cached_property
    def _rejected(self) -> AbstractSet[str]:
        mine = select(Attempt.combination).where(Attempt.calibration_id == self._calibration.id, Attempt.rejected)
        return frozenset(self._view.db.scalars(mine))

    def _hold(self, config: dict[str, Any], selection: dict[str, Any]) -> bool:
        if not self._rejected:
            return False
        view, it = self._view, self._calibration
        inputs = None if it.kind is Kind.COPY else inputs_of(view, it, selection)
        return combination_of(view.db, it, config, view.would_read(it.name, config), inputs) in self._rejected


def combination_of(
    db: Session,
    calibration: Calibration,
    config: dict[str, Any],
    reads: list[tuple[Entry, str | None]],
    inputs: Inputs | None,
) -> str:
    """One hash over everything that determines the result, free of database ids: equal ones bring the same.

    A ROOT file written twice differs in its bytes, so a produced file counts by the combination of its production.
    """
    files = [(chosen.data_name, chosen.file) for chosen in inputs.files] if inputs else []
    productions = {file.attempt_id for _, file in files if file.attempt_id is not None}
    rows = db.execute(select(Attempt.id, Attempt.combination).where(Attempt.id.in_(productions)))
    made_from = {row.id: row.combination for row in rows}
    return digest(
        {
            "release": calibration.definition.release.digest,
            "module": calibration.definition.module,
            "config": config,
            "files": sorted(
                [file.exprun, data_name, file.sha256 if file.attempt_id is None else made_from[file.attempt_id]]
                for data_name, file in files
            ),
            "reads": [[entry.name, entry.first, entry.last, entry.identity] for entry, _ in reads],
        }
    )
