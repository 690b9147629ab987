"""Whatever makes something due wakes who waits for it: nobody has to look who was not called.

Airflow looks at a calibration or a processing when its signal or generation has changed or its time has come, and else
not at all. Here it does so after any act of people, of the clock, or of whoever brings data. Then nothing is due for
the others: when they look all the same, nothing changes.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import select
from sqlalchemy.orm import Session

from b2cal import conditions, loop
from b2cal.core.errors import B2calError
from b2cal.core.iov import ExpRun
from b2cal.loop import Act, Choice, ProcessingVerb, Progress
from b2cal.loop.signals import Key
from b2cal.model import (
    Calibration,
    DataFile,
    DataFormat,
    Decision,
    Grade,
    Kind,
    Outbox,
    Processing,
    ProcessingState,
    PublishPolicy,
    State,
    Step,
    TagState,
    now,
)
from tests.loop.test_stateful import MEMORY, share
from tests.loop.world import MANAGER, Defined, World

# The copy never succeeds, for its tag lacks the first runs: a verdict on real constants takes seconds.
PARTS = (
    Defined("L", step=Step.LOCAL, kind=Kind.COPY, filters=False, config={"source_tag": "local", "unchanged": False}),
    Defined("A"),
    Defined("B", ("A",), data_name="hadron"),
)
NAMES = [defined.name for defined in PARTS]
PROCESSINGS = {"bucket1": (100, 103), "bucket2": (104, 107)}
KEYS: list[Key] = [(processing, name) for processing in PROCESSINGS for name in [*NAMES, None]]

calibrations = st.sampled_from([key for key in KEYS if key[1] is not None])
decided = st.sampled_from(["withdraw", "sign_off", "reject", "restart", "veto", "lift", "keep", "go_on"])
on_processing = st.sampled_from([ProcessingVerb.HOLD, ProcessingVerb.RELEASE, ProcessingVerb.PUBLISH])


class Waking(RuleBasedStateMachine):
    """Two processings of one tag, the second on top of the first: a copy, a calibration, and one that needs it."""

    @initialize(publish=st.sampled_from(PublishPolicy), local=st.booleans())
    def begin(self, publish: PublishPolicy, local: bool) -> None:
        self.folder = Path(mkdtemp(prefix="b2cal-waking-", dir=MEMORY))
        self.world = World(self.folder, PARTS)
        self.looked: dict[Key, Progress] = {}
        self.number = 0
        if local:
            self.tag_appears("local")
        for name, (first, last) in PROCESSINGS.items():
            self.world.process(name, first, last, publish=publish, inputs_patience_s=300.0)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.database.dispose()
            shutil.rmtree(self.folder)

    # --- what Airflow does

    def look(self, key: Key) -> None:
        processing, name = key
        if name is None:
            self.looked[key] = loop.advance_processing(self.world.workplace, processing)
        else:
            self.looked[key] = self.world.advance(name, processing)

    def woken(self) -> list[Key]:
        found = loop.signals(self.world.workplace, KEYS)
        return [key for key in KEYS if key not in self.looked or self.is_woken(self.looked[key], found[key])]

    def is_woken(self, saw: Progress, found: tuple[int, int]) -> bool:
        if saw.finished:  # its task has ended; another comes with the next generation
            return found[1] != saw.generation
        is_due = saw.next_due is not None and saw.next_due <= self.world.clock.now()
        return is_due or found != (saw.signal, saw.generation)

    def rows(self) -> list[object]:
        """All that looking can change."""
        with self.world.database.read() as db:
            return [
                {column.key: getattr(row, column.key) for column in table.__table__.columns}
                for table in (Processing, Calibration, Decision, Outbox)
                for row in db.scalars(select(table).order_by(table.id))
            ]

    def airflow(self) -> None:
        """Whoever was woken looks, until nobody is."""
        while woken := self.woken():
            for key in woken:
                self.look(key)

    @invariant()
    def nothing_is_due_for_those_who_were_not_woken(self) -> None:
        if not hasattr(self, "world"):
            return
        self.airflow()
        before = self.rows()
        for key in KEYS:
            self.look(key)
            assert self.rows() == before, f"something was due for {key}, and nobody woke it"

    # --- what people do, and the clock

    def attempt(self, verb: str, key: Key, *args: object) -> None:
        """As a manager; what cannot be done now is refused."""
        processing, name = key
        assert name is not None
        try:
            self.world.do(verb, name, *args, processing=processing)
        except B2calError:
            return

    @rule(key=calibrations, events=st.sampled_from([10, 20]))
    def submit(self, key: Key, events: int) -> None:
        changes = {} if key[1] == "L" else {"events": events}
        self.attempt("submit", key, Choice(changes))

    @rule(key=calibrations, verb=decided)
    def decide(self, key: Key, verb: str) -> None:
        self.attempt(verb, key)

    @rule(key=calibrations)
    def veto_with_a_fallback(self, key: Key) -> None:
        try:
            self.world.do("veto", str(key[1]), processing=key[0], fallback_tag="fallback")
        except B2calError:
            return

    @rule(key=calibrations)
    def extend(self, key: Key) -> None:
        self.attempt("extend", key, 1.0)

    @rule(name=st.sampled_from(sorted(PROCESSINGS)), verb=on_processing)
    def decide_on_processing(self, name: str, verb: ProcessingVerb) -> None:
        try:
            self.world.do_to_processing(verb, processing=name)
        except B2calError:
            return

    @rule(seconds=st.sampled_from([30, 120, 700]))
    def time_passes(self, seconds: int) -> None:
        self.world.tick(seconds)

    @rule()
    def the_site_shows_itself(self) -> None:
        loop.site_is_there(self.world.workplace)

    @rule(name=st.sampled_from(sorted(PROCESSINGS)))
    def everything_is_finished(self, name: str) -> None:
        """Most of what a processing waits for as a whole comes at its end."""
        self.attempt("veto", (name, "L"))
        for each in ("A", "B"):
            self.submit((name, each), 10)
            self.attempt("go_on", (name, each))
            self.airflow()
            self.jobs_end((name, each), passes=True, fails=False)
            self.airflow()
            self.attempt("sign_off", (name, each))

    @rule(key=calibrations)
    def the_defaults_are_rejected(self, key: Key) -> None:
        """Its new window ends, and b2cal does not submit the same again."""
        self.attempt("lift", key)
        self.attempt("submit", key, Choice())
        self.airflow()
        self.jobs_end(key, passes=False, fails=False)
        self.attempt("reject", key)
        self.time_passes(700)

    # --- what happens to tags, and to data

    @rule(state=st.sampled_from([TagState.TESTING, TagState.OPEN]))
    def tag_changes_its_state(self, state: TagState) -> None:
        def unit(db: Session) -> None:
            it = conditions.tag_named(db, "main")
            loop.set_tag_state(db, it, state, Act(MANAGER, it.version, "because"))

        self.refusable(unit)

    @rule(tag=st.sampled_from(["local", "fallback"]))
    def tag_appears(self, tag: str) -> None:
        self.refusable(lambda db: loop.create_tag(db, tag, Act(MANAGER, seen=0)))

    @rule(run=st.sampled_from([101, 102, 103, 105, 106, 107]))
    def the_tag_that_is_copied_from_grows(self, run: int) -> None:
        self.add("local", "L", run, last=run)

    @rule(tag=st.sampled_from(["main", "fallback"]), name=st.sampled_from(NAMES), run=st.sampled_from([0, 102, 106]))
    def another_tag_grows(self, tag: str, name: str, run: int) -> None:
        self.add(tag, name, run, last=None)

    def add(self, tag: str, name: str, run: int, last: int | None) -> None:
        self.number += 1

        def unit(db: Session) -> None:
            it = conditions.tag_named(db, tag)
            entry = self.world.constants(db, name, self.number, ExpRun(26, run))
            if last is not None:
                entry = replace(entry, last=ExpRun(26, last).number)
            loop.add_to_tag(db, it, [entry], Act(MANAGER, it.version))

        self.refusable(unit)

    def refusable(self, unit: Callable[[Session], object]) -> None:
        try:
            self.world.database.write(unit)
        except B2calError:
            return

    @rule(data_name=st.sampled_from(["bhabha", "hadron"]), run=st.integers(100, 107), events=st.sampled_from([0, 1000]))
    def file_arrives(self, data_name: str, run: int, events: int) -> None:
        self.number += 1

        def unit(db: Session) -> None:
            db.add(
                DataFile(
                    path=f"/data/late_{self.number}.root",
                    data_name=data_name,
                    format=DataFormat.RAW,
                    exprun=ExpRun(26, run).number,
                    n_events=events,
                    size_bytes=1000,
                    mtime_ns=1,
                    sha256=f"{self.number:064x}",
                    registered_at=now(db),
                )
            )
            loop.data_arrived(db)

        self.world.database.write(unit)

    # --- what comes back from the jobs

    @rule(key=st.sampled_from([key for key in KEYS if key[1] in ("A", "B")]), passes=st.booleans(), fails=st.booleans())
    def jobs_end(self, key: Key, passes: bool, fails: bool) -> None:
        processing, name = key
        if name is None or self.world.state(name, processing) != State.RUNNING:
            return
        if fails:
            self.world.jobs_fail(name, processing)
            return
        self.number += 1
        self.world.jobs_end(name, self.number, processing)
        self.world.judged(name, Grade.PASS if passes else Grade.FAIL, processing)


TestWaking = Waking.TestCase
TestWaking.settings = share(1)
TestWaking.pytestmark = [pytest.mark.proof, pytest.mark.timeout(1800)]  # everybody looks after every act: it takes long


@pytest.fixture
def waking() -> Iterator[Waking]:
    machine = Waking()
    machine.begin(publish=PublishPolicy.AUTO, local=True)
    machine.airflow()
    yield machine
    machine.teardown()


def test_a_tag_that_takes_constants_again_wakes_who_is_complete(waking: Waking) -> None:
    waking.tag_changes_its_state(TagState.TESTING)
    waking.everything_is_finished("bucket1")
    waking.airflow()
    assert waking.world.processing("bucket1").state is ProcessingState.COMPLETE
    waking.tag_changes_its_state(TagState.OPEN)
    waking.nothing_is_due_for_those_who_were_not_woken()
    assert waking.world.processing("bucket1").state is ProcessingState.PUBLISHED


def test_a_corrected_source_tag_wakes_a_copy_whose_defaults_were_rejected(waking: Waking) -> None:
    waking.the_defaults_are_rejected(("bucket1", "L"))
    waking.airflow()
    assert waking.world.state("L") == "open"
    waking.the_tag_that_is_copied_from_grows(102)
    waking.nothing_is_due_for_those_who_were_not_woken()
    assert waking.world.state("L") == "failed"  # it was submitted and started, and still lacks runs


def test_late_files_wake_a_calibration_whose_defaults_were_rejected(waking: Waking) -> None:
    waking.the_defaults_are_rejected(("bucket1", "A"))
    waking.airflow()
    assert waking.world.state("A") == "open"
    waking.file_arrives("bhabha", 101, 1000)
    waking.nothing_is_due_for_those_who_were_not_woken()
    assert waking.world.state("A") == "submitted"


def test_a_source_tag_that_appears_wakes_the_copy_that_waits_for_it() -> None:
    machine = Waking()
    machine.begin(publish=PublishPolicy.AUTO, local=False)
    machine.submit(("bucket1", "L"), 10)
    machine.airflow()
    assert machine.world.state("L") == "submitted"
    machine.tag_appears("local")
    machine.nothing_is_due_for_those_who_were_not_woken()
    assert machine.world.state("L") == "failed"
    machine.teardown()
