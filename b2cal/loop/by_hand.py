"""Payloads made by hand: where they may come from, and that they are in order before anything of them is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from b2cal.conditions import (
    DATABASE,
    Entry,
    FileCheck,
    StoredFile,
    check_files,
    coverage_problems,
    read_local_database,
    store_payload,
    tag_entries,
    tag_named,
    unpacked,
)
from b2cal.core.errors import listed
from b2cal.core.iov import IoV
from b2cal.model import Calibration, GlobalTag, TagIov

from .errors import InvalidChoice
from .obstacles import refuse_by_freshness
from .rules import Verb
from .transition import Act, refuse_early
from .view import ProcessingView
from .workplace import Workplace


@dataclass(frozen=True)
class PayloadFiles:
    """One payload file for each payload; all are to be valid for exactly the runs of the processing.

    Attributes:
        paths: of the files.
        called: what whoever brings them calls them, where that is not the file's name; only for messages.
    """

    paths: Sequence[Path]
    called: Mapping[Path, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LocalDatabase:
    """A local database of Belle II: its `database.txt`, the folder that holds it, or a .tar or .zip of that."""

    place: Path


@dataclass(frozen=True)
class FromTag:
    """What a global tag holds for the runs of the processing."""

    name: str


Source = PayloadFiles | LocalDatabase | FromTag


@dataclass(frozen=True)
class Wanted:
    """What must be there: these payloads, for exactly these runs, in the place of what this calibration makes."""

    calibration: str
    names: frozenset[str]
    requested: IoV


@dataclass(frozen=True)
class Given:
    """A file that is to be the payload `name` (empty: whatever it holds) for some runs; people know it as `called`."""

    path: Path
    iov: IoV
    called: str
    name: str = ""


@dataclass(frozen=True)
class ByHand:
    """Checked payloads in the store that together may take the place of what a calibration made.

    Attributes:
        origin: where they come from, for people; never a path.
        payloads: what was found in each file, the runs that it is to be valid for, and the file in the store.
    """

    origin: str
    payloads: tuple[tuple[FileCheck, IoV, StoredFile], ...]

    @property
    def contents(self) -> list[list[str]]:
        """Name, runs and identity of each payload."""
        return sorted([check.name, str(iov), check.identity] for check, iov, _ in self.payloads)

    def entries(self, db: Session) -> list[Entry]:
        """The payloads, made known to the database."""
        return [
            Entry(
                check.name,
                iov.first.number,
                iov.last_number,
                store_payload(db, check.name, check.identity, file.checksum, file.size_bytes),
                check.identity,
            )
            for check, iov, file in self.payloads
        ]


def brought_by_hand(workplace: Workplace, calibration_id: int, source: Source, act: Act) -> ByHand:
    """Check payloads made by hand, in a process apart, and put them into the store; `replace` takes them from there.

    Raises:
        Conflict, NotAllowed, InvalidChoice, Repeated, NotFound: what `replace` would refuse now.
        InvalidChoice: they cannot take the place of what the calibration makes; names all that is wrong.
        InvalidLocalDatabase, UnknownTag: there are none that could be checked.
        PayloadChanged, CannotWrite: they could not be kept.
    """
    with workplace.database.read() as db:
        calibration = refuse_early(db, calibration_id, Verb.REPLACE, act)
        view = ProcessingView(db, calibration.processing_id)
        refuse_by_freshness(view, calibration.name, Verb.REPLACE)
        wanted = _wanted(view, calibration)
        held = _held_by_tag(workplace, view, calibration, source.name) if isinstance(source, FromTag) else []
    match source:
        case FromTag(name):
            return _kept(workplace, wanted, held, f"the tag {name}")
        case PayloadFiles(paths, called):
            given = [Given(path, wanted.requested, called.get(path, path.name)) for path in paths]
            return _kept(workplace, wanted, given, "a file" if len(given) == 1 else f"{len(given)} files")
        case LocalDatabase(place) if place.is_dir() or place.name == DATABASE:
            return _kept(workplace, wanted, _listed(place if place.is_dir() else place.parent), "a local database")
        case LocalDatabase(archive):
            with unpacked(archive, workplace.settings.quarantine, workplace.settings.loop.by_hand_bytes) as folder:
                return _kept(workplace, wanted, _listed(folder), "a local database")


def entries_of_tag(view: ProcessingView, calibration: Calibration, tag_id: int) -> tuple[list[Entry], list[str]]:
    """What a tag holds of a calibration's payloads, clipped to the runs of its processing, and what is wrong there."""
    names = {payload.payload_name for payload in calibration.definition.payloads}
    entries = view.fitted_in(tag_entries(view.db, tag_id, names, overlapping=view.runs))
    return entries, coverage_problems(entries, view.requested, names)


def fitting_tags(view: ProcessingView, calibrations: Sequence[Calibration]) -> list[str]:
    """Global tags that hold all payloads of these calibrations for all runs, the base first; without payloads none."""
    names = {payload.payload_name for it in calibrations for payload in it.definition.payloads}
    tags = view.db.execute(
        select(GlobalTag.id, GlobalTag.name)
        .join(TagIov, TagIov.tag_id == GlobalTag.id)
        .where(TagIov.name.in_(names))
        .group_by(GlobalTag.id)
        .having(func.count(TagIov.name.distinct()) == len(names))
        .order_by(GlobalTag.name)
    ).all()
    fitting = [name for tag_id, name in tags if not any(entries_of_tag(view, it, tag_id)[1] for it in calibrations)]
    return sorted(fitting, key=lambda name: name != view.processing.base_tag.name)


def _wanted(view: ProcessingView, calibration: Calibration) -> Wanted:
    names = frozenset(payload.payload_name for payload in calibration.definition.payloads)
    if not names:
        raise InvalidChoice(
            f"{calibration.name} makes no payloads, so none can take their place.",
            hint="Restart or reject it instead.",
        )
    return Wanted(calibration.name, names, view.requested)


def _held_by_tag(workplace: Workplace, view: ProcessingView, calibration: Calibration, name: str) -> list[Given]:
    entries, problems = entries_of_tag(view, calibration, tag_named(view.db, name).id)
    if problems:
        raise _refusal(calibration.name, problems)
    return [Given(workplace.store.path(entry.identity), entry.iov, entry.name, entry.name) for entry in entries]


def _listed(folder: Path) -> list[Given]:
    return [Given(folder / line.file_name, line.iov, line.file_name, line.name) for line in read_local_database(folder)]


def _kept(workplace: Workplace, wanted: Wanted, given: Sequence[Given], origin: str) -> ByHand:
    """Check all files, then put all into the store; with anything wrong the store is as before."""
    paths = list(dict.fromkeys(it.path for it in given))
    checks = dict(zip(paths, check_files(paths, wanted.names), strict=True))
    problems = _problems(wanted, given, checks)
    if problems:
        raise _refusal(wanted.calibration, problems)
    stored = {path: workplace.store.put(path, check.identity, check.checksum) for path, check in checks.items()}
    return ByHand(origin, tuple((checks[it.path], it.iov, stored[it.path]) for it in given))


def _problems(wanted: Wanted, given: Sequence[Given], checks: Mapping[Path, FileCheck]) -> list[str]:
    called = {it.path: it.called for it in given}
    problems = [f"{called[path]}: {check.problem}" for path, check in checks.items() if check.problem]
    problems += [
        f"{it.called}: it holds {checks[it.path].name}, where {it.name} was expected"
        for it in given
        if it.name and checks[it.path].name not in ("", it.name)
    ]
    if problems:  # what is missing may be in the file that was not understood
        return problems
    entries = [
        Entry(checks[it.path].name, it.iov.first.number, it.iov.last_number, 0, checks[it.path].identity)
        for it in given
    ]
    return coverage_problems(entries, wanted.requested, wanted.names)


def _refusal(calibration: str, problems: Sequence[str]) -> InvalidChoice:
    return InvalidChoice(
        f"These payloads cannot replace those of {calibration}: {listed(problems)}.",
        hint="Nothing was written. Correct them and give them again.",
    )
