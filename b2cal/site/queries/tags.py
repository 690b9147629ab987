"""Global tags and what they hold."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from b2cal.model import Attempt, AttemptPayload, Calibration, GlobalTag, Processing, ProcessingState, TagIov


@dataclass(frozen=True)
class TagRow:
    """A tag with how much it holds and who publishes to it."""

    tag: GlobalTag
    n_payloads: int
    n_iovs: int
    processings: tuple[str, ...]


def all_tags(db: Session) -> list[TagRow]:
    """The latest first."""
    tags = db.scalars(select(GlobalTag).order_by(GlobalTag.id.desc()).limit(200)).all()
    numbers = {
        tag_id: (names, iovs)
        for tag_id, names, iovs in db.execute(
            select(TagIov.tag_id, func.count(TagIov.name.distinct()), func.count()).group_by(TagIov.tag_id)
        )
    }
    targets: dict[int, list[str]] = {}
    for tag_id, name in db.execute(select(Processing.target_tag_id, Processing.name).order_by(Processing.id.desc())):
        targets.setdefault(tag_id, []).append(name)
    return [TagRow(tag, *numbers.get(tag.id, (0, 0)), tuple(targets.get(tag.id, ()))) for tag in tags]


def contents(db: Session, tag: GlobalTag) -> Sequence[TagIov]:
    """All IoVs of a tag with their payloads, by name and run."""
    query = select(TagIov).where(TagIov.tag_id == tag.id).options(joinedload(TagIov.payload))
    return db.scalars(query.order_by(TagIov.name, TagIov.first)).all()


def processings_into(db: Session, tag: GlobalTag) -> Sequence[Processing]:
    """Processings that publish to a tag, the latest first."""
    query = select(Processing).where(Processing.target_tag_id == tag.id).order_by(Processing.id.desc())
    return db.scalars(query).all()


def makers(db: Session) -> dict[str, int]:
    """Payload -> the calibration that made the constants of it that were published last."""
    rows = db.execute(
        select(AttemptPayload.name, func.max(Attempt.calibration_id).label("maker"))
        .join(Attempt, Attempt.id == AttemptPayload.attempt_id)
        .join(Calibration, Calibration.id == Attempt.calibration_id)
        .join(Processing, Processing.id == Calibration.processing_id)
        .where(Attempt.live.is_(True), Processing.state == ProcessingState.PUBLISHED)
        .group_by(AttemptPayload.name)
    )
    return {row.name: row.maker for row in rows}
