"""Any sequence of acts: the loop does what a small model of it says, and what it refuses changes nothing."""

from collections.abc import Set as AbstractSet
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func, select

from b2cal import conditions, loop
from b2cal.core.checksums import digest
from b2cal.core.errors import B2calError
from b2cal.loop import FINISHED, RULES, Actor, Choice, ProcessingVerb, Verb
from b2cal.model import (
    Attempt,
    Decision,
    Grade,
    Kind,
    Outbox,
    ProcessingState,
    PublishPolicy,
    Role,
    State,
    Step,
    Submission,
)
from tests.loop.model import EMPTY, LOCAL, UNCHANGED, WINDOW, WINDOW_AFTER_REJECT, Model
from tests.loop.world import DIAMOND, MANAGER, START, Defined, World

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # thousands of small commits: not on a disk
EXPERT = Actor("tracking", Role.EXPERT)
PEOPLE = st.sampled_from([MANAGER, EXPERT])
BY_HAND = {Verb.WITHDRAW, Verb.SIGN_OFF, Verb.REJECT, Verb.RESTART, Verb.VETO, Verb.LIFT, Verb.KEEP}
ON_JOBS = (Verb.CANCEL_JOBS, Verb.RETRY_JOBS)
ON_PROCESSING = (ProcessingVerb.HOLD, ProcessingVerb.RELEASE, ProcessingVerb.PUBLISH)
COPY = Defined("L", step=Step.LOCAL, kind=Kind.COPY, filters=False, config={"source_tag": "nothing", "unchanged": True})
PRODUCTION = (
    COPY,
    Defined("A", ("L",)),
    Defined("S", step=Step.CDST_PRODUCTION, kind=Kind.PRODUCE),
    Defined("R", step=Step.ANALYSIS, data_format="cdst"),
)
TOLD = {
    UNCHANGED: {},
    EMPTY: {"unchanged": False},
    LOCAL: {"source_tag": "local", "unchanged": False},
}
moves = precondition(lambda self: self.model.moves)


class LoopAgainstModel(RuleBasedStateMachine):
    """Four calibrations in a diamond."""

    definitions: ClassVar = DIAMOND
    upstream: ClassVar = {"A": set(), "B": {"A"}, "C": {"A"}, "D": {"A", "B", "C"}}
    names: ClassVar = st.sampled_from("ABCD")

    @initialize(automatic=st.booleans())
    def begin(self, automatic: bool) -> None:
        self.folder = TemporaryDirectory(prefix="b2cal-stateful-", dir=MEMORY)
        self.world = World(Path(self.folder.name), self.definitions)
        self.prepare()
        publish = PublishPolicy.AUTO if automatic else PublishPolicy.MANUAL
        self.world.process(window_s=float(WINDOW), reject_window_s=float(WINDOW_AFTER_REJECT), publish=publish)
        kinds = {defined.name: defined.kind for defined in self.definitions}
        defaults = {name: UNCHANGED if kind is Kind.COPY else 10 for name, kind in kinds.items()}
        self.model = Model(self.upstream, kinds, defaults)
        self.model.automatic_publication = automatic
        self.value = 0

    def prepare(self) -> None:
        """What has to be there before the processing."""

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.database.dispose()
        if hasattr(self, "folder"):
            self.folder.cleanup()

    # --- what people do

    def attempt(self, verb: Verb, name: str, by: Actor, *args: object) -> bool:
        """Try a verb; the loop must agree with the model whether it is allowed, and a refusal writes nothing."""
        expected = self.model.allowed(verb, name, by)
        before = self.rows()
        try:
            self.world.do(verb.value, name, *args, by=by)
        except B2calError:
            assert not expected, f"{verb} of {name} by {by.role} was refused in {self.model.state[name]}"
            assert self.rows() == before
            return False
        assert expected, f"{verb} of {name} by {by.role} was done in {self.model.state[name]}"
        return True

    def rows(self) -> list[int]:
        with self.world.database.read() as db:
            return [
                db.scalar(select(func.count()).select_from(table)) or 0
                for table in (Decision, Attempt, Submission, Outbox)
            ]

    def submitted(self, name: str, by: Actor, told: object) -> None:
        changes = TOLD[told] if self.model.kinds[name] is Kind.COPY else {"events": told}
        if self.attempt(Verb.SUBMIT, name, by, Choice(dict(changes))):
            self.model.submit(name, told)

    @rule(data=st.data(), by=PEOPLE)
    def submit(self, data: st.DataObject, by: Actor) -> None:
        name = data.draw(self.names)
        is_copy = self.model.kinds[name] is Kind.COPY
        # A real copy is judged by real processes, which takes seconds.
        words = [UNCHANGED, UNCHANGED, UNCHANGED, UNCHANGED, EMPTY, LOCAL]
        self.submitted(name, by, data.draw(st.sampled_from(words if is_copy else [1, 2, 3])))

    @rule(data=st.data(), by=PEOPLE, verb=st.sampled_from(sorted(BY_HAND)))
    def by_hand(self, data: st.DataObject, by: Actor, verb: Verb) -> None:
        self.done_by_hand(data.draw(self.names), by, verb)

    def done_by_hand(self, name: str, by: Actor, verb: Verb) -> None:
        model = self.model
        if not self.attempt(verb, name, by):
            return
        if verb is Verb.KEEP:
            model.kept[name] = model.counting(name, model.reads_now(name))
            model.acts += 1
            return
        model.kept.pop(name, None)
        if verb is Verb.REJECT and name in model.ran:
            model.rejected[name].append(model.ran[name])
        if verb in (Verb.REJECT, Verb.LIFT):
            model.reopen(name)
        if verb in (Verb.REJECT, Verb.LIFT, Verb.WITHDRAW):
            model.submitted.pop(name, None)
        if verb in (Verb.REJECT, Verb.RESTART, Verb.VETO):
            model.end_attempt(name)
        targets = {row.to for row in RULES if row.verb is verb}
        model.go(name, next(iter(targets))[0])

    @rule(data=st.data(), by=PEOPLE, verb=st.sampled_from(ON_JOBS))
    def on_jobs(self, data: st.DataObject, by: Actor, verb: Verb) -> None:
        """Its attempt is given up, or goes on with those jobs alone that have failed."""
        name = data.draw(self.names)
        if self.attempt(verb, name, by):
            self.model.go(name, State.FAILED if verb is Verb.CANCEL_JOBS else State.RUNNING)
            if verb is Verb.CANCEL_JOBS:
                self.world.jobs_cancelled(name)

    @moves
    @rule(data=st.data(), by=PEOPLE, same=st.booleans(), passes=st.booleans())
    def replace(self, data: st.DataObject, by: Actor, same: bool, passes: bool) -> None:
        """Constants made by hand take the place of its own; what is downstream follows by their contents."""
        calibrated = [name for name in sorted(self.upstream) if self.model.kinds[name] is Kind.CALIBRATE]
        name = data.draw(st.sampled_from(calibrated))
        value = self.model.made[name] if same else f"by hand {self.value}"
        if not self.attempt(Verb.REPLACE, name, by, self.world.by_hand(name, value)):
            return
        self.value += 1
        self.model.replace(name, value)
        self.judged(name, passes)

    @rule(by=PEOPLE, verb=st.sampled_from(ON_PROCESSING))
    def on_processing(self, by: Actor, verb: ProcessingVerb) -> None:
        self.try_on_processing(verb, by)

    @precondition(lambda self: self.model.acts > 30)
    @rule(by=PEOPLE)
    def cancel(self, by: Actor) -> None:
        """Late, because little happens afterwards."""
        self.try_on_processing(ProcessingVerb.CANCEL, by)

    def try_on_processing(self, verb: ProcessingVerb, by: Actor) -> None:
        model = self.model
        expected = model.processing_allowed(verb, by)
        before = self.rows()
        try:
            self.world.do_to_processing(verb, by)
        except B2calError:
            assert not expected, f"{verb} by {by.role} was refused while it was {model.processing}"
            assert self.rows() == before
            return
        assert expected, f"{verb} by {by.role} was done while it was {model.processing}"
        if verb is ProcessingVerb.CANCEL:
            model.cancel()
        elif verb is ProcessingVerb.PUBLISH:
            model.processing = ProcessingState.PUBLISHED
        else:
            model.held = verb is ProcessingVerb.HOLD

    # --- time

    @rule(seconds=st.sampled_from([100, 600]))
    def time_passes(self, seconds: int) -> None:
        """With the site there."""
        self.site_is_there(seconds)

    @rule(seconds=st.sampled_from([700, 2500]))
    def outage(self, seconds: int) -> None:
        """The site is away, and comes back."""
        self.site_is_there(seconds)

    @rule(seconds=st.sampled_from([100, 2500]))
    def the_site_is_away(self, seconds: int) -> None:
        self.world.tick(seconds)
        self.model.now += seconds

    def site_is_there(self, after: int) -> None:
        self.the_site_is_away(after)
        loop.site_is_there(self.world.workplace)
        if self.model.seen is not None and self.model.now - self.model.seen > 600:
            self.model.outages.append((self.model.seen, self.model.now))
        self.model.seen = self.model.now

    # --- what happens by itself

    @rule(data=st.data())
    def advance(self, data: st.DataObject) -> None:
        self.advanced(data.draw(self.names))

    def advanced(self, name: str) -> None:
        """What the scheduler does: everything that is due, and nothing else."""
        self.model.advance(name)
        progress = self.world.advance(name)
        assert progress.finished == (self.model.state[name] in FINISHED or not self.model.going)
        assert progress.generation == self.model.generation

    @rule()
    def advance_processing(self) -> None:
        self.model.advance_processing()
        progress = loop.advance_processing(self.world.workplace, "bucket1")
        assert progress.state == self.model.processing.value
        assert progress.generation == self.model.generation

    @precondition(lambda self: self.model.moves and self.running())
    @rule(data=st.data(), same=st.booleans(), passes=st.booleans())
    def jobs_end(self, data: st.DataObject, same: bool, passes: bool) -> None:
        name = data.draw(st.sampled_from(self.running()))
        used = data.draw(st.sets(st.sampled_from(sorted(self.upstream[name])))) if self.upstream[name] else set()
        self.ended(name, same, passes, used)

    def running(self) -> list[str]:
        return sorted(name for name, state in self.model.state.items() if state is State.RUNNING)

    def ended(self, name: str, same: bool, passes: bool, used: AbstractSet[str]) -> None:
        names_read = {f"P{other}" for other in used}
        self.model.used[name] = used
        if self.model.kinds[name] is Kind.PRODUCE:
            self.world.files_made(name, names_read)
            self.model.files[name] = self.model.ran[name]
        else:
            if not same:
                self.value += 1
                self.model.made[name] = self.value
            self.world.jobs_end(name, self.model.made[name], names_read=names_read)
        self.model.go(name, State.VALIDATING)
        self.judged(name, passes)

    def judged(self, name: str, passes: bool) -> None:
        self.world.judged(name, Grade.PASS if passes else Grade.FAIL)
        self.model.passes[name] = passes
        self.model.go(name, State.REVIEW)

    @precondition(lambda self: self.model.moves and self.running())
    @rule(data=st.data())
    def jobs_fail(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.running()))
        self.world.jobs_fail(name)
        self.model.go(name, State.FAILED)

    @moves
    @rule(data=st.data())
    def go_far(self, data: st.DataObject) -> None:
        """A calibration and all that it needs are brought on as far as it goes: most of life is not at the start."""
        name = data.draw(self.names)
        for each in [*(other for other in self.upstream if other in self.upstream[name]), name]:
            for _ in range(2):
                if self.model.state[each] is State.OPEN:
                    self.submitted(each, MANAGER, self.model.defaults[each])
                self.advanced(each)
                if self.model.state[each] is State.RUNNING:
                    self.ended(each, same=True, passes=True, used=self.upstream[each])
                self.advanced(each)
                if self.model.state[each] is State.REVIEW:
                    self.done_by_hand(each, MANAGER, Verb.SIGN_OFF)

    # --- what must hold at any time

    @invariant()
    def loop_and_model_agree(self) -> None:
        if not hasattr(self, "world"):
            return
        model = self.model
        with self.world.database.read() as db:
            view = self.world.view(db)
            assert view.processing.state is model.processing
            assert view.processing.held == model.held
            for name, calibration in view.calibrations.items():
                assert calibration.state is model.state[name], name
                assert view.standing(name).freshness.value == model.freshness(name), name
                assert view.settled(name) == model.settled(name), name
                start, end = (START + timedelta(seconds=moment) for moment in model.window[name])
                assert (calibration.window_started_at, calibration.window_ends_at) == (start, end), name
                assert loop.why(view, calibration, self.world.clock.now()).sentence
            decisions = db.scalar(
                select(func.count()).select_from(Decision).where(Decision.calibration_id.is_not(None))
            )
            assert decisions == model.acts
            assert view.processing.generation == model.generation

    @invariant()
    def the_tag_holds_what_was_published_and_nothing_before(self) -> None:
        if not hasattr(self, "world"):
            return
        published = self.model.processing is ProcessingState.PUBLISHED
        held = self.world.in_tag()
        for name in self.upstream:
            if self.model.kinds[name] is Kind.PRODUCE:
                continue
            value = self.model.gives(name) if published else "old"
            for run in (100, 101, 102, 103, 104, 200):
                of_run = value[min(run - 100, len(value) - 1)] if isinstance(value, tuple) else value
                assert held(name, run) == digest([name, of_run]), (name, run)
            assert held(name, 99) == digest([name, "old"])


class CopyAndProductionAgainstModel(LoopAgainstModel):
    """A copy from a subsystem's tag, a calibration that reads it, a cDST production, and a reader of its files."""

    definitions: ClassVar = PRODUCTION
    upstream: ClassVar = {"L": set(), "A": {"L"}, "S": {"L", "A"}, "R": {"L", "A", "S"}}
    names: ClassVar = st.sampled_from("LASR")

    def prepare(self) -> None:
        for tag in ("local", "nothing"):
            self.world.database.write(lambda db, tag=tag: conditions.create_tag(db, tag))
        self.world.add_to_tag("local", "L", "first", 0)

    @precondition(lambda self: len(self.model.source) < 5)
    @rule()
    def tag_grows(self) -> None:
        """The subsystem gives other constants, from a later run on."""
        value, first = f"curated {self.value}", 100 + len(self.model.source)
        self.value += 1
        self.world.add_to_tag("local", "L", value, first)
        self.model.tag_grows(value)


def share(of: int) -> settings:
    """A part of the examples of the profile: each is a whole life."""
    return settings(
        max_examples=settings.default.max_examples // of,
        stateful_step_count=40,
        suppress_health_check=[HealthCheck.too_slow],
    )


TestLoop = LoopAgainstModel.TestCase
TestLoop.settings = share(8)
TestCopyAndProduction = CopyAndProductionAgainstModel.TestCase
TestCopyAndProduction.settings = share(13)


class Fails(LoopAgainstModel):
    """Its world stands, and the example fails."""

    def prepare(self) -> None:
        raise AssertionError("as planned")


def no_room(folder: Path, definitions: object) -> None:
    """In place of a home for a world."""
    raise AssertionError("as planned")


@pytest.mark.parametrize("machine", [LoopAgainstModel, Fails])
@pytest.mark.parametrize("has_world", [True, False])
def test_no_example_leaves_its_folder_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: type[LoopAgainstModel], has_world: bool
) -> None:
    monkeypatch.setattr(f"{__name__}.MEMORY", tmp_path)
    if not has_world:
        monkeypatch.setattr(World, "settings_for", staticmethod(no_room))
    seen: list[Path] = []

    class Watched(machine):  # type: ignore[misc, valid-type]
        def teardown(self) -> None:
            seen.extend(tmp_path.glob("b2cal-stateful-*"))
            super().teardown()

    once = settings(max_examples=1, stateful_step_count=1, phases=[Phase.generate], database=None, deadline=None)
    ends_well = has_world and machine is LoopAgainstModel
    with nullcontext() if ends_well else pytest.raises(AssertionError, match="as planned"):
        run_state_machine_as_test(Watched, settings=once)
    assert seen
    assert not list(tmp_path.glob("b2cal-stateful-*"))
