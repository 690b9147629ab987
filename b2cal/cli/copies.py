"""`b2cal data copies` and `b2cal data copy-again`: what productions have made, in a second place."""

from datetime import datetime

import click
from sqlalchemy import select
from sqlalchemy.orm import Session, contains_eager

from b2cal import loop
from b2cal.model import Attempt, Calibration, DataFile, FileCopy, Processing

from .desk import Desk, local, pass_desk


@click.command()
@click.argument("processing", required=False)
@pass_desk
def copies(desk: Desk, processing: str | None) -> None:
    """List the copies on tape of what the productions of PROCESSING, or all, have made."""
    query = (
        select(FileCopy, Processing.name, Calibration.name)
        .join(FileCopy.file)
        .join(Attempt, Attempt.id == DataFile.attempt_id)
        .join(Calibration, Calibration.id == Attempt.calibration_id)
        .join(Processing, Processing.id == Calibration.processing_id)
        .options(contains_eager(FileCopy.file))
        .order_by(FileCopy.id)
    )
    with desk.workplace.database.read() as db:
        if processing is not None:
            query = query.where(Processing.id == loop.ProcessingView.of(db, processing).processing.id)
        facts = [
            {
                "processing": of_processing,
                "production": production,
                "file": it.file.path,
                "target": it.target,
                "state": it.state.value,
                "tries": it.tries,
                "error": it.error,
                "again_at": it.not_before if it.error else None,
                "done_at": it.done_at,
            }
            for it, of_processing, production in db.execute(query)
        ]
    rows = [
        (row["production"], row["target"], row["state"], row["tries"], f"{row['error']}{_again(row['again_at'])}")
        for row in facts
    ]
    desk.show(facts, lambda: desk.table("Copies", ("Production", "Target", "State", "Tries", "Error"), rows))


@click.command()
@pass_desk
def copy_again(desk: Desk) -> None:
    """Try at once what could not be copied."""

    def unit(db: Session) -> int:
        desk.operator(db)
        return loop.copy_again(db)

    count = desk.write(unit)
    desk.done(f"{count} copies are tried again at the next look.", count=count)


def _again(at: object) -> str:
    return f" Tried again {local(at)}." if isinstance(at, datetime) else ""
