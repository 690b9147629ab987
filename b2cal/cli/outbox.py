"""`b2cal outbox`."""

import click
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from b2cal.model import Outbox

from .desk import Desk, pass_desk


@click.group()
def outbox() -> None:
    """Messages and files that b2cal could not deliver."""


@outbox.command("list")
@pass_desk
def list_unsent(desk: Desk) -> None:
    """List what failed and has not been delivered since."""
    query = select(Outbox).where(Outbox.sent_at.is_(None), Outbox.tries > 0).order_by(Outbox.id)
    with desk.workplace.database.read() as db:
        rows = [
            (it.kind, it.about, str(it.body.get("text", "")), it.tries, "yes" if it.given_up_at else "no", it.error)
            for it in db.scalars(query)
        ]
    desk.show(
        [dict(zip(("kind", "about", "text", "tries", "given_up", "error"), row, strict=True)) for row in rows],
        lambda: desk.table("Not delivered", ("Kind", "About", "Text", "Tries", "Given up", "Error"), rows),
    )


@outbox.command()
@pass_desk
def retry(desk: Desk) -> None:
    """Try again what was given up."""

    def unit(db: Session) -> int:
        desk.operator(db)
        given_up = db.scalars(select(Outbox.id).where(Outbox.given_up_at.is_not(None))).all()
        again = {"given_up_at": None, "not_before": None, "tries": 0}
        db.execute(update(Outbox).where(Outbox.id.in_(given_up)).values(again))
        return len(given_up)

    count = desk.write(unit)
    desk.done(f"{count} are tried again.", count=count)
