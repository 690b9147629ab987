"""`b2cal data watch`, `arrivals` and `expire`: where data arrive, which have, and until when they stay."""

from datetime import datetime
from pathlib import Path
from typing import Any

import click
from sqlalchemy import select

from b2cal import data as catalogue
from b2cal import loop
from b2cal.core.iov import IoV
from b2cal.loop import ProcessingView
from b2cal.model import Processing, ProcessingState
from b2cal.settings import LONGEST_DAYS

from .desk import Desk, local, pass_desk
from .places import FOLDER, Place, name_of
from .ranges import Expiry

STREAM = click.option("--stream", default="", help="Only files of this stream or skim.")


@click.group()
def watch() -> None:
    """Folders that are scanned again and again, while b2cal runs."""


@watch.command()
@FOLDER
@STREAM
@click.option(
    "--keep-days", type=click.IntRange(1, LONGEST_DAYS), help="So many days after their arrival files may be deleted."
)
@pass_desk
def add(desk: Desk, folder: Path | str, stream: str, keep_days: int | None) -> None:
    """Watch FOLDER: what arrives below it is registered by itself, and what waits for it starts.

    FOLDER may lie behind an XRootD door that b2cal.toml names: root://host:1094//store/raw.
    """
    desk.check_operator()
    place, keeps = name_of(folder, desk.settings), keep_days or desk.settings.data.keep_days or None
    desk.write(lambda db: catalogue.begin_watch(db, place, stream, keeps, desk.operator(db).username))
    every = f"every {desk.settings.data.scan_every_s:g} s"
    desk.done(f"{place} is scanned {every} while b2cal runs (`b2cal up`).", place=place, stream=stream)


@watch.command("list")
@pass_desk
def list_all(desk: Desk) -> None:
    """List the watched folders, and what is wrong with them."""
    with desk.workplace.database.read() as db:
        rows = [
            {
                "place": it.place,
                "stream": it.stream,
                "keep_days": it.keep_days,
                "by": it.begun_by,
                "scanned_at": it.scanned_at,
                "failing_since": it.failing_since,
                "error": it.error,
            }
            for it in catalogue.watches(db)
        ]
    columns = ("Folder", "Stream", "Kept", "By", "Scanned", "Trouble")
    desk.show(rows, lambda: desk.table("Watched folders", columns, map(_row, rows)))


@watch.command()
@FOLDER
@STREAM
@pass_desk
def stop(desk: Desk, folder: Path | str, stream: str) -> None:
    """Watch FOLDER no more; what was registered of it stays."""
    # Its server may be away: perhaps that is why.
    place = folder.rstrip("/") if isinstance(folder, str) else str(folder.resolve())
    desk.write(lambda db: catalogue.end_watch(db, place, stream, desk.operator(db).username))
    desk.done(f"{place} is not watched any more.", place=place, stream=stream)


@click.command()
@click.argument("processing", required=False)
@pass_desk
def arrivals(desk: Desk, processing: str | None) -> None:
    """Show how many runs of each stream have arrived for PROCESSING, or for all that are active."""
    with desk.workplace.database.read() as db:
        if processing is not None:
            asked = [ProcessingView.of(db, processing).processing]
        else:
            active = select(Processing).where(Processing.state == ProcessingState.ACTIVE)
            asked = list(db.scalars(active.order_by(Processing.id)))
        found = {it.name: catalogue.arrival(db, it.run_first, it.run_last) for it in asked}
        runs = {it.name: str(IoV.from_numbers(it.run_first, it.run_last)) for it in asked}
    facts = [
        {
            "processing": name,
            "runs": runs[name],
            "registered_runs": it.n_runs,
            "newest_run": str(it.awaited[0]) if it.awaited else None,
            "streams": [stream.to_json() for stream in it.streams],
        }
        for name, it in found.items()
    ]
    desk.show(facts, lambda: _tell(desk, runs, found))


@click.command()
@click.argument("place", type=Place(path_type=Path))
@click.argument("day", type=Expiry(), required=False)
@pass_desk
def expire(desk: Desk, place: Path | str, day: datetime | None) -> None:
    """Say from which DAY on the files below PLACE, a folder or one file, may be deleted; without DAY they stay.

    b2cal deletes nothing itself. What expires is not read any more, and what has read it cannot be restarted.
    """
    desk.check_operator()
    name = name_of(place, desk.settings)
    n_files = desk.write(lambda db: loop.keep_until(db, name, day))
    until = f"are kept until {day:%Y-%m-%d}" if day else "are kept for ever"
    past = " That is past: they are not read any more." if day and day <= desk.workplace.database.clock.now() else ""
    desk.done(f"Files at {name} {until}: {n_files}.{past}", place=name, files=n_files, expires_at=day)


def _row(facts: dict[str, Any]) -> tuple[str, ...]:
    kept = f"{facts['keep_days']} days" if facts["keep_days"] else "for ever"
    scanned = local(facts["scanned_at"]) if facts["scanned_at"] else "not yet"
    trouble = f"since {local(facts['failing_since'])}: {facts['error']}" if facts["failing_since"] else "–"
    return facts["place"], facts["stream"] or "all", kept, facts["by"], scanned, trouble


def _tell(desk: Desk, runs: dict[str, str], found: dict[str, catalogue.Arrival]) -> None:
    columns = ("Stream", "Runs complete", "in part", "without files", "Files", "Events", "Expected", "Last arrival")
    for name, it in found.items():
        rows = [
            (
                stream.stream,
                stream.complete,
                stream.partial,
                stream.none,
                stream.n_files,
                f"{stream.n_events:,}",
                f"{stream.expected_events:,}",
                local(stream.last_at) if stream.last_at else "–",
            )
            for stream in it.streams
        ]
        desk.table(f"{name}: {runs[name]}, {it.n_runs} runs registered", columns, rows)
        if it.awaited:
            desk.console.print(f"  The newest registered run is {it.awaited[0]}: later ones may still come.")
    if not found:
        desk.console.print("No processing is active.")
