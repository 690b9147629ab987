"""What waiting tasks watch, in one query for all of them."""

from collections.abc import Collection

from sqlalchemy import select

from b2cal.model import Calibration, Processing

from .workplace import Workplace

Key = tuple[str, str | None]
"""Name of a processing and of its calibration; None for the processing itself."""


def signals(workplace: Workplace, keys: Collection[Key]) -> dict[Key, tuple[int, int]]:
    """Signal and generation of each key that exists."""
    names = {processing for processing, _ in keys}
    with workplace.database.read() as db:
        rows = db.execute(
            select(Processing.name, Processing.signal, Processing.generation, Calibration.name, Calibration.signal)
            .outerjoin(Calibration, Calibration.processing_id == Processing.id)
            .where(Processing.name.in_(names))
        ).all()
    found: dict[Key, tuple[int, int]] = {}
    for processing, signal, generation, calibration, calibration_signal in rows:
        found[processing, None] = (signal, generation)
        if calibration is not None:
            found[processing, calibration] = (calibration_signal, generation)
    return {key: found[key] for key in keys if key in found}
