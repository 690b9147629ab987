"""What was in front of whoever decided, as one hash that is kept with the decision."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from b2cal.core.checksums import digest
from b2cal.model import Attempt, AttemptPayload, Calibration, Payload, Submission, Verdict


def evidence(db: Session, calibration: Calibration) -> str:
    """SHA-256 over configuration, selection, payload identities and checks of the live attempt; empty before one."""
    attempt = db.scalar(select(Attempt).where(Attempt.calibration_id == calibration.id, Attempt.live.is_(True)))
    submission = db.scalar(
        select(Submission).where(Submission.calibration_id == calibration.id, Submission.live.is_(True))
    )
    if submission is None:
        return ""
    seen = {"config": submission.config, "selection": submission.selection}
    if attempt is None:
        return digest(seen)
    payloads = db.execute(
        select(AttemptPayload.name, AttemptPayload.first, AttemptPayload.last, Payload.identity)
        .join(Payload, Payload.id == AttemptPayload.payload_id)
        .where(AttemptPayload.attempt_id == attempt.id)
        .order_by(AttemptPayload.name, AttemptPayload.first)
    )
    verdict = db.get(Verdict, attempt.id)
    return digest(
        {
            **seen,
            "combination": attempt.combination,
            "payloads": [list(row) for row in payloads],
            "checks": verdict.checks if verdict else None,
        }
    )
