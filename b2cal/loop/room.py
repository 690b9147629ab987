"""Room for what a processing will write, looked at before it is activated."""

import shutil
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from b2cal.core.errors import B2calError
from b2cal.core.iov import IoV
from b2cal.data import default_selection, free_behind_doors
from b2cal.data import select as select_inputs
from b2cal.model import Definition, DefinitionPayload, Kind, Release
from b2cal.settings import DataSettings, Settings

from .errors import InvalidChoice
from .named import release_named
from .vetoes import standing_vetoes
from .view import ProcessingView
from .workplace import Workplace

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


@dataclass(frozen=True)
class Share:
    """What is needed in one place, and what is free there, in bytes.

    Attributes:
        contents: what will lie there, in words.
        free: None: nobody can say, see `trouble`.
    """

    place: str
    contents: str
    needed: int
    free: int | None
    trouble: str = ""

    @property
    def is_short(self) -> bool:
        return self.free is not None and self.free < self.needed

    def __str__(self) -> str:
        free = (
            f"{bytes_in_words(self.free)} free"
            if self.free is not None
            else f"nobody can say how much is free: {self.trouble}"
        )
        return f"About {bytes_in_words(self.needed)} needed for {self.contents}, {free}; that is in {self.place}"


@dataclass(frozen=True)
class Room:
    """All places in which a processing will write much."""

    shares: tuple[Share, ...] = ()

    @property
    def is_short(self) -> bool:
        return any(share.is_short for share in self.shares)

    def to_json(self) -> list[dict[str, Any]]:
        return [asdict(share) for share in self.shares]

    def __str__(self) -> str:
        return "; ".join(map(str, self.shares))


def look_for_room(workplace: Workplace, release: str, runs: IoV, centre: str, vetoes: Collection[str]) -> Room:
    """What a processing of these runs would need, estimated from the inputs that its productions would read.

    Args:
        workplace: to ask.
        release: its name.
        runs: of the processing.
        centre: where its jobs run.
        vetoes: names of calibrations that are left out from its start, besides those with a standing veto.

    Raises:
        NotFound: there is no such release.
    """
    with workplace.database.read() as db:
        estimate = _estimate(db, workplace.settings.data, release_named(db, release), runs, vetoes)
    return Room(tuple(_shares(workplace.settings, centre, *estimate)))


def room_for(workplace: Workplace, processing: str) -> Room:
    """The same for a processing that is planned."""
    with workplace.database.read() as db:
        it = ProcessingView.of(db, processing).processing
        runs = IoV.from_numbers(it.run_first, it.run_last)
        estimate = _estimate(db, workplace.settings.data, it.release, runs, it.vetoes)
    return Room(tuple(_shares(workplace.settings, it.centre, *estimate)))


def refuse_short(room: Room, reason: str) -> None:
    """See that there is room, or that whoever activates a processing says why it is activated all the same.

    Raises:
        InvalidChoice: there is too little, and no reason.
    """
    if room.is_short and not reason.strip():
        short = "; ".join(str(share) for share in room.shares if share.is_short)
        raise InvalidChoice(
            f"There is too little room. {short}.",
            hint="Make room, choose fewer runs, or activate it with a reason: it is kept, and jobs without room are"
            " tried again.",
        )


def bytes_in_words(n_bytes: int) -> str:
    """`1.2 TB`."""
    value, unit = float(n_bytes), _UNITS[0]
    for unit in _UNITS:
        if value < 1000 or unit == _UNITS[-1]:
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def _estimate(
    db: Session, settings: DataSettings, release: Release, runs: IoV, vetoes: Collection[str]
) -> tuple[int, int]:
    """Bytes of the files that productions will write, and of the payloads."""
    left_out = {*vetoes, *(veto.name for veto in standing_vetoes(db))}
    part = [it for it in release.definitions if it.name not in left_out]
    produced = sum(
        round(_bytes_read(db, release, it, runs) * settings.output_share(it.name))
        for it in part
        if it.kind is Kind.PRODUCE
    )
    return produced, settings.payload_bytes * _n_payloads(db, part)


def _shares(settings: Settings, centre: str, produced: int, payloads: int) -> Iterator[Share]:
    home = settings.folder("")
    output = settings.storages[centre].output if centre in settings.storages else ""
    if output or not produced:
        yield Share(str(home), "constants", payloads, _free_on_disk(home))
    else:
        yield Share(str(home), "constants and cDST", payloads + produced, _free_on_disk(home))
    if output and produced:
        yield _behind_doors(output, produced, settings, centre)


def _behind_doors(output: str, produced: int, settings: Settings, centre: str) -> Share:
    try:
        free = free_behind_doors(output, settings, centre)
    except B2calError as error:
        return Share(output, "cDST", produced, None, str(error).rstrip("."))
    return Share(output, "cDST", produced, free, "" if free is not None else "its server does not tell")


def _free_on_disk(folder: Path) -> int:
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _bytes_read(db: Session, release: Release, definition: Definition, runs: IoV) -> int:
    """Of what has arrived the bytes, and for what is still missing as many as its events would have."""
    settings = definition.settings
    inputs = select_inputs(
        db,
        release.vocabulary,
        settings["input_data_formats"],
        settings["input_data_names"],
        default_selection(settings),
        runs.first.number,
        runs.last_number,
    )
    files = {it.file.id: it.file for it in inputs.files}
    n_events = sum(file.n_events for file in files.values())
    missing = sum(it.expected_events - it.found_events for it in inputs.missing)
    size = sum(file.size_bytes for file in files.values())
    return round(size * (n_events + missing) / n_events) if n_events else 0


def _n_payloads(db: Session, definitions: Collection[Definition]) -> int:
    of_these = DefinitionPayload.definition_id.in_([it.id for it in definitions])
    return db.scalar(select(func.count()).select_from(DefinitionPayload).where(of_these)) or 0
