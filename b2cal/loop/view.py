"""One processing as it stands in one snapshot: who needs whom, what each would read, who is fresh.

Freshness is derived here and never stored.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload, selectinload

from b2cal.conditions import Entry, clipped, effective, tag_entries
from b2cal.core.checksums import digest
from b2cal.core.iov import OPEN, IoV
from b2cal.data import Inputs
from b2cal.model import (
    Attempt,
    AttemptFile,
    AttemptPayload,
    AttemptRead,
    BaseIov,
    Calibration,
    DataFile,
    GlobalTag,
    GroupState,
    JobGroup,
    Kind,
    Processing,
    ProcessingKind,
    ProcessingState,
    State,
)

from .agents import agent_at_work
from .errors import NotFound
from .order import Place, all_after, all_before, directly_before
from .rules import FINISHED


class Freshness(StrEnum):
    """Whether what an attempt read is still what it would read now."""

    FRESH = "fresh"
    IN_DOUBT = "in doubt"
    STALE = "stale"


@dataclass(frozen=True)
class Standing:
    """Freshness with its cause: the upstream calibration, or the payload of the base, that decides it."""

    freshness: Freshness
    because: str = ""


FRESH = Standing(Freshness.FRESH)


class ProcessingView:
    """A processing with its calibrations, their live attempts and what these read and made."""

    def __init__(self, db: Session, processing_id: int) -> None:
        self.db = db
        self.processing = db.scalars(
            select(Processing)
            .where(Processing.id == processing_id)
            .options(joinedload(Processing.release), joinedload(Processing.target_tag), joinedload(Processing.base_tag))
            .execution_options(populate_existing=True)
        ).one()
        self.calibrations = {
            calibration.name: calibration
            for calibration in db.scalars(
                select(Calibration)
                .where(Calibration.processing_id == processing_id)
                .order_by(Calibration.id)
                .options(joinedload(Calibration.definition))
                .execution_options(populate_existing=True)
            )
        }
        self.inputs: dict[tuple[str, str], Inputs] = {}
        """What was looked for already, by calibration and hash of the selection; see `inputs_of`."""
        self._standings: dict[str, Standing] = {}
        self._fallbacks: dict[tuple[str, int], list[Entry]] = {}

    @classmethod
    def of(cls, db: Session, name: str) -> "ProcessingView":
        """The processing of this name.

        Raises:
            NotFound: there is none.
        """
        found = db.scalar(select(Processing.id).where(Processing.name == name))
        if found is None:
            known = ", ".join(db.scalars(select(Processing.name).order_by(Processing.id.desc()).limit(5)))
            raise NotFound(f"There is no processing {name}.", hint=f"The latest are: {known or 'none yet'}.")
        return cls(db, found)

    def calibration(self, name: str) -> Calibration:
        """The calibration of this name.

        Raises:
            NotFound: the processing has none.
        """
        if name not in self.calibrations:
            raise NotFound(
                f"{self.processing.name} has no calibration {name}.", hint=f"It has: {', '.join(self.calibrations)}."
            )
        return self.calibrations[name]

    def windows_end_at(self, at: datetime) -> datetime | None:
        """When the last of the windows ends that are open now; None if none is."""
        ends = (it.window_ends_at for it in self.calibrations.values() if it.state is State.OPEN)
        return max((end for end in ends if end is not None and end > at), default=None)

    @cached_property
    def goes_on_by_itself(self) -> bool:
        """Whether somebody is there to do what is due: b2cal runs."""
        return agent_at_work(self.db) is not None

    @cached_property
    def asking(self) -> dict[str, datetime]:
        """The running calibrations of which failed jobs wait for a decision, with since when."""
        running = {it.id: it.name for it in self.calibrations.values() if it.state is State.RUNNING}
        if not running:
            return {}
        rows = self.db.execute(
            select(Attempt.calibration_id, JobGroup.asks_since)
            .join(JobGroup, JobGroup.attempt_id == Attempt.id)
            .where(JobGroup.state == GroupState.WANTED, JobGroup.asks_since.is_not(None), Attempt.live.is_(True))
            .where(Attempt.calibration_id.in_(running))
        )
        return {running[number]: since for number, since in rows if since is not None}

    @property
    def runs(self) -> IoV:
        """The run range: what lies outside of it is never read."""
        return IoV.from_numbers(self.processing.run_first, self.processing.run_last)

    @property
    def requested(self) -> IoV:
        """The IoV that constants must cover: the run range, with an open end in a prompt processing."""
        last = OPEN if self.processing.kind is ProcessingKind.PROMPT else self.processing.run_last
        return IoV.from_numbers(self.processing.run_first, last)

    @cached_property
    def attempts(self) -> dict[str, Attempt]:
        """The live attempts with all that freshness needs, by name of the calibration."""
        rows = self.db.scalars(
            select(Attempt)
            .join(Calibration, Calibration.id == Attempt.calibration_id)
            .where(Calibration.processing_id == self.processing.id, Attempt.live.is_(True))
            .options(
                selectinload(Attempt.payloads).joinedload(AttemptPayload.payload),
                selectinload(Attempt.reads).joinedload(AttemptRead.payload),
                joinedload(Attempt.verdict),
                joinedload(Attempt.submission),
            )
            .execution_options(populate_existing=True)
        )
        names = {calibration.id: name for name, calibration in self.calibrations.items()}
        return {names[attempt.calibration_id]: attempt for attempt in rows}

    @cached_property
    def base(self) -> list[Entry]:
        """The frozen base; its IoVs may begin before and end after the run range."""
        rows = self.db.scalars(
            select(BaseIov)
            .where(BaseIov.processing_id == self.processing.id)
            .options(joinedload(BaseIov.payload))
            .order_by(BaseIov.name, BaseIov.first)
        )
        return [Entry(row.name, row.first, row.last, row.payload_id, row.payload.identity) for row in rows]

    @cached_property
    def _read_productions(self) -> dict[str, dict[int, str]]:
        """Per calibration: the cDST productions whose files its live attempt reads, with their combinations."""
        rows = self.db.execute(
            select(AttemptFile.attempt_id, DataFile.attempt_id)
            .join(DataFile, DataFile.id == AttemptFile.data_file_id)
            .where(
                AttemptFile.attempt_id.in_([attempt.id for attempt in self.attempts.values()]),
                DataFile.attempt_id.is_not(None),
            )
            .distinct()
        ).all()
        if not rows:
            return {}
        made_by = {producer for _, producer in rows if producer is not None}
        productions = {a.id: a for a in self.db.scalars(select(Attempt).where(Attempt.id.in_(made_by)))}
        names = {attempt.id: name for name, attempt in self.attempts.items()}
        found: dict[str, dict[int, str]] = {}
        for reader, producer in rows:
            assert producer is not None, "the query asks for produced files"
            made = productions[producer]
            found.setdefault(names[reader], {})[made.calibration_id] = made.combination
        return found

    @cached_property
    def _needs(self) -> dict[str, set[str]]:
        return {name: set(calibration.upstream) for name, calibration in self.calibrations.items()}

    def upstream(self, name: str) -> list[Calibration]:
        """Everything that `name` depends on, directly or not, upstream first."""
        wanted = all_before(self._needs, name)
        return [calibration for calibration in self._in_order() if calibration.name in wanted]

    def downstream(self, name: str) -> list[Calibration]:
        """Everything that depends on `name`, directly or not."""
        wanted = all_after(self._needs, name)
        return [calibration for calibration in self._in_order() if calibration.name in wanted]

    @cached_property
    def directly_before(self) -> dict[str, set[str]]:
        """Whom each calibration waits for before it starts: its upstream, and the steps before if barriers are full."""
        places = [Place(it.name, it.step, frozenset(it.upstream)) for it in self.calibrations.values()]
        return directly_before(places, self.processing.barrier_policy)

    def before(self, name: str) -> list[Calibration]:
        """Everything that must be finished and fresh before `name` starts; it reads only what its upstream made."""
        wanted = all_before(self.directly_before, name)
        return [calibration for calibration in self._in_order() if calibration.name in wanted]

    def after(self, name: str) -> list[Calibration]:
        """Everything that starts only after `name`."""
        wanted = all_after(self.directly_before, name)
        return [calibration for calibration in self._in_order() if calibration.name in wanted]

    def _in_order(self) -> Iterator[Calibration]:
        done: set[str] = set()
        while len(done) < len(self.calibrations):
            ready = [c for name, c in self.calibrations.items() if name not in done and self._needs[name] <= done]
            if not ready:
                raise RuntimeError(f"{self.processing.name}: nobody can be next after {sorted(done)}; see upstream")
            yield from ready
            done |= {calibration.name for calibration in ready}

    def made(self, calibration: Calibration) -> list[Entry]:
        """The payloads that a finished calibration gives to others: its own, or those of its veto's fallback."""
        if calibration.state is State.VETOED and calibration.fallback_tag_id is not None:
            return self._fallback(calibration, calibration.fallback_tag_id)
        attempt = self.attempts.get(calibration.name)
        if calibration.state is not State.SIGNED_OFF or attempt is None:
            return []
        return [Entry(p.name, p.first, p.last, p.payload_id, p.payload.identity) for p in attempt.payloads]

    def _fallback(self, calibration: Calibration, tag_id: int) -> list[Entry]:
        """Asked for by everything downstream of a veto, so read once."""
        key = calibration.name, tag_id
        if key not in self._fallbacks:
            self._fallbacks[key] = self.fitted_in(self._in_tag(calibration, tag_id))
        return self._fallbacks[key]

    def _in_tag(self, calibration: Calibration, tag_id: int) -> list[Entry]:
        """What a tag holds of a calibration's payloads for runs of this processing."""
        names = {owned.payload_name for owned in calibration.definition.payloads}
        return tag_entries(self.db, tag_id, names, overlapping=self.runs)

    def fitted_in(self, entries: Iterable[Entry]) -> list[Entry]:
        """Curated entries clipped to the run range; in a prompt processing the last ones stay open."""
        inside = clipped(entries, self.runs)
        return [
            replace(e, last=self.requested.last_number) if e.last == self.processing.run_last else e for e in inside
        ]

    def would_read(self, name: str, config: Mapping[str, Any]) -> list[tuple[Entry, str | None]]:
        """The one map of what an attempt of `name` reads if it starts now, with the producer (None: the base).

        A copy reads the tag that its configuration names, and nothing else.
        """
        if self.calibrations[name].kind is Kind.COPY:
            return [(entry, None) for entry in self._source(self.calibrations[name], config)]
        layers = [(calibration.name, self.made(calibration)) for calibration in self.upstream(name)]
        producer = {(e.name, e.payload_id): who for who, entries in layers for e in entries}
        entries = clipped(effective(self.base, *(entries for _, entries in layers)), self.runs)
        return [(entry, producer.get((entry.name, entry.payload_id))) for entry in entries]

    def _source(self, calibration: Calibration, config: Mapping[str, Any]) -> list[Entry]:
        """What a copy finds for these runs in the tag that it copies from; nothing when all is unchanged."""
        tag_id = self.db.scalar(select(GlobalTag.id).where(GlobalTag.name == config.get("source_tag")))
        if tag_id is None or config.get("unchanged"):
            return []
        return clipped(self._in_tag(calibration, tag_id), self.runs)

    def reads_digest(self, name: str) -> str:
        """Hash of what would count for `name` if it read now; a manager keeps a stale result against exactly this."""
        calibration, attempt = self.calibrations[name], self.attempts[name]
        counts = _counting(calibration, attempt)
        reads = [e for e, _ in self.would_read(name, attempt.submission.config) if counts(e.name)]
        read = self._read_productions.get(name, {})
        productions = [c.name for c in self._finished_productions(name) if c.id in read]
        made_from = [(production, self.attempts[production].combination) for production in productions]
        return digest([[[e.name, e.first, e.last, e.identity] for e in reads], made_from])

    def standing(self, name: str) -> Standing:
        """Whether the live attempt of `name` is fresh, in doubt or stale, and because of what."""
        if name not in self._standings:
            self._standings[name] = self._derived_standing(name)
        return self._standings[name]

    def settled(self, name: str) -> bool:
        """Finished, and fresh or kept: others may build on it."""
        return self.calibrations[name].state in FINISHED and self.standing(name).freshness is Freshness.FRESH

    def _derived_standing(self, name: str) -> Standing:
        calibration = self.calibrations[name]
        attempt = self.attempts.get(name)
        if attempt is None or calibration.state in (State.OPEN, State.SUBMITTED, State.VETOED):
            return FRESH
        if self.processing.state is ProcessingState.CANCELLED:
            return FRESH  # nothing in it is done again
        for upstream in self.upstream(name):
            if not self.settled(upstream.name):
                return Standing(Freshness.IN_DOUBT, upstream.name)
        changed = self._changed_read(calibration, attempt) or self._changed_production(name)
        if changed and calibration.kept_reads != self.reads_digest(name):
            return Standing(Freshness.STALE, changed)
        return FRESH

    def _changed_read(self, calibration: Calibration, attempt: Attempt) -> str:
        """Name of what the attempt read and would read otherwise now."""
        known = [(read.name, read.first, read.last, read.payload.identity, read.producer) for read in attempt.reads]
        would_read = self.would_read(calibration.name, attempt.submission.config)
        present = [(e.name, e.first, e.last, e.identity, who) for e, who in would_read]
        counts = _counting(calibration, attempt)
        then = {row[:4]: row[4] for row in known if counts(row[0])}
        today = {row[:4]: row[4] for row in present if counts(row[0])}
        differing = sorted(then.keys() ^ today.keys())
        if not differing:
            return ""
        first = differing[0]
        return today.get(first) or then.get(first) or first[0]

    def _changed_production(self, name: str) -> str:
        for producer_id, combination in self._read_productions.get(name, {}).items():
            producer = next(c for c in self.calibrations.values() if c.id == producer_id)
            current = self.attempts.get(producer.name)
            if current is None or current.combination != combination:
                return producer.name
        return ""

    def _finished_productions(self, name: str) -> list[Calibration]:
        return [c for c in self.upstream(name) if c.kind is Kind.PRODUCE and c.name in self.attempts]


def _counting(calibration: Calibration, attempt: Attempt) -> Callable[[str], bool]:
    """Whether a payload that an attempt may read counts: what its jobs did not use does not.

    While they run, and when they failed, they have not told: then all that they may read counts.
    """
    if calibration.kind is Kind.COPY or calibration.state in (State.RUNNING, State.FAILED):
        return lambda _: True
    return {read.name for read in attempt.reads if read.used}.__contains__
