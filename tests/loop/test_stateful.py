"""Any sequence of acts: the loop does what a small model of it says, and what it refuses changes nothing.

The model is `RULES` for the states and a dictionary of values for freshness: an attempt remembers the values that its
upstream had when it started, and is stale when they are others now. Time passes, with the site there or away.
"""

import shutil
from datetime import timedelta
from pathlib import Path
from tempfile import mkdtemp
from typing import ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import func, select

from b2cal import loop
from b2cal.core.errors import B2calError
from b2cal.loop import FINISHED, RULES, Actor, Choice, Verb
from b2cal.model import Attempt, Decision, Grade, Outbox, Role, State, Submission
from tests.loop.world import DIAMOND, MANAGER, START, World

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # thousands of small commits: not on a disk
UPSTREAM = {"A": set(), "B": {"A"}, "C": {"A"}, "D": {"A", "B", "C"}}
WINDOW, WINDOW_AFTER_REJECT, DEFAULT = 5000, 2000, 10
EXPERT = Actor("tracking", Role.EXPERT)
STRANGER = Actor("stranger", Role.DEPUTY)
NAMES = st.sampled_from(sorted(UPSTREAM))
PEOPLE = st.sampled_from([MANAGER, EXPERT])
BY_HAND = {Verb.WITHDRAW, Verb.SIGN_OFF, Verb.REJECT, Verb.RESTART, Verb.VETO, Verb.LIFT, Verb.KEEP}


class Model:
    """What the loop should be, in one page."""

    def __init__(self) -> None:
        self.state = dict.fromkeys(UPSTREAM, State.OPEN)
        self.made: dict[str, object] = dict.fromkeys(UPSTREAM, "old")
        self.read: dict[str, dict[str, object]] = {}
        self.kept: dict[str, dict[str, object]] = {}
        self.by_hand: set[str] = set()
        self.acts = 0
        self.generation = 1
        self.now = 0
        self.window = dict.fromkeys(UPSTREAM, (0, WINDOW))
        self.seen: int | None = None
        self.outages: list[tuple[int, int]] = []
        self.given: set[tuple[str, int]] = set()
        self.submitted: dict[str, int] = {}
        self.ran: dict[str, object] = {}
        self.rejected: dict[str, list[object]] = {name: [] for name in UPSTREAM}

    def gives(self, name: str) -> object:
        """What others read of it: its own constants when it is signed off, else those of the base."""
        return self.made[name] if self.state[name] is State.SIGNED_OFF else "old"

    def reads_now(self, name: str) -> dict[str, object]:
        return {other: self.gives(other) for other in UPSTREAM[name]}

    def settled(self, name: str) -> bool:
        return self.state[name] in FINISHED and self.freshness(name) == "fresh"

    def freshness(self, name: str) -> str:
        if self.state[name] in (State.OPEN, State.SUBMITTED, State.VETOED):
            return "fresh"
        if not all(self.settled(other) for other in UPSTREAM[name]):
            return "in doubt"
        now = self.reads_now(name)
        return "fresh" if now in (self.read[name], self.kept.get(name)) else "stale"

    def loses(self, name: str, began: int, ended: int) -> bool:
        start, end = self.window[name]
        began = max(began, start)
        return began < end and ended - began > max(600, 0.1 * (end - start))

    def extend(self, name: str) -> None:
        """Give back to an open window what the outages of the site took from it, once each."""
        for number, (began, ended) in enumerate(self.outages):
            start, end = self.window[name]
            if (name, number) not in self.given and ended > start and self.loses(name, began, ended):
                self.given.add((name, number))
                self.window[name] = (start, ended + end - max(began, start))
                self.acts += 1

    def is_due(self, name: str) -> bool:
        """Whether the defaults are submitted now."""
        if self.now < self.window[name][1] or (self.seen is not None and self.loses(name, self.seen, self.now)):
            return False
        return [DEFAULT, self.reads_now(name)] not in self.rejected[name]

    def allowed(self, verb: Verb, name: str, by: Actor) -> bool:
        if verb is Verb.WITHDRAW and self.now >= self.window[name][1]:
            return False
        if verb is Verb.REPLACE and self.freshness(name) == "in doubt":
            return False
        if verb is Verb.SIGN_OFF and self.state[name] is State.REVIEW and self.freshness(name) != "fresh":
            return False
        return any(row.verb is verb and self.state[name] in row.at and by.role in row.who for row in RULES)

    def go(self, name: str, to: State) -> None:
        if self.state[name] in FINISHED and to is not self.state[name]:
            self.generation += 1
        self.state[name] = to
        self.acts += 1

    def reopen(self, name: str) -> None:
        self.window[name] = (self.now, self.now + WINDOW_AFTER_REJECT)


class LoopAgainstModel(RuleBasedStateMachine):
    folders: ClassVar[list[Path]] = []

    @initialize()
    def begin(self) -> None:
        self.folder = Path(mkdtemp(prefix="b2cal-stateful-", dir=MEMORY))
        self.world = World(self.folder, DIAMOND)
        self.world.process(window_s=float(WINDOW), reject_window_s=float(WINDOW_AFTER_REJECT))
        self.model = Model()
        self.value = 0

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.database.dispose()
            shutil.rmtree(self.folder)

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

    @rule(name=NAMES, by=PEOPLE, events=st.integers(1, 3))
    def submit(self, name: str, by: Actor, events: int) -> None:
        if self.attempt(Verb.SUBMIT, name, by, Choice({"events": events})):
            self.model.submitted[name] = events
            self.model.go(name, State.SUBMITTED)

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

    @rule(name=NAMES, by=PEOPLE, verb=st.sampled_from(sorted(BY_HAND)))
    def by_hand(self, name: str, by: Actor, verb: Verb) -> None:
        if not self.attempt(verb, name, by):
            return
        if verb is Verb.KEEP:
            self.model.kept[name] = self.model.reads_now(name)
            self.model.acts += 1
            return
        self.model.kept.pop(name, None)
        if verb is Verb.REJECT and name in self.model.ran:
            self.model.rejected[name].append(self.model.ran[name])
        if verb in (Verb.REJECT, Verb.LIFT):
            self.model.reopen(name)
        if verb in (Verb.REJECT, Verb.RESTART, Verb.VETO):
            self.model.ran.pop(name, None)
        targets = {row.to for row in RULES if row.verb is verb}
        self.model.go(name, next(iter(targets))[0])

    @rule(name=NAMES)
    def advance(self, name: str) -> None:
        """What the scheduler does: everything that is due, and nothing else."""
        for _ in range(3):
            model, state = self.model, self.model.state[name]
            freshness = model.freshness(name)
            if state not in FINISHED and freshness == "stale" and name not in model.by_hand:
                model.ran.pop(name, None)
                model.go(name, State.SUBMITTED)
            elif state is State.OPEN:
                model.extend(name)
                if not model.is_due(name):
                    break
                model.submitted[name] = DEFAULT
                model.go(name, State.SUBMITTED)
            elif state is State.SUBMITTED and all(model.settled(other) for other in UPSTREAM[name]):
                model.read[name] = model.reads_now(name)
                model.ran[name] = [model.submitted[name], model.read[name]]
                model.kept.pop(name, None)
                model.by_hand.discard(name)
                model.go(name, State.RUNNING)
            elif state is State.REVIEW and freshness == "fresh" and self.grade[name] is Grade.PASS:
                model.go(name, State.SIGNED_OFF)
            else:
                break
        progress = self.world.advance(name)
        assert progress.finished == (self.model.state[name] in FINISHED)
        assert progress.generation == self.model.generation

    grade: ClassVar[dict[str, Grade]] = {}

    @precondition(lambda self: State.RUNNING in self.model.state.values())
    @rule(data=st.data(), same=st.booleans(), grade=st.sampled_from([Grade.PASS, Grade.FAIL]))
    def jobs_end(self, data: st.DataObject, same: bool, grade: Grade) -> None:
        running = sorted(name for name, state in self.model.state.items() if state is State.RUNNING)
        name = data.draw(st.sampled_from(running))
        if not same:
            self.value += 1
            self.model.made[name] = self.value
        self.world.jobs_end(name, self.model.made[name])
        self.model.go(name, State.VALIDATING)
        self.world.judged(name, grade)
        self.model.go(name, State.REVIEW)
        type(self).grade[name] = grade

    @precondition(lambda self: State.RUNNING in self.model.state.values())
    @rule(data=st.data())
    def jobs_fail(self, data: st.DataObject) -> None:
        running = sorted(name for name, state in self.model.state.items() if state is State.RUNNING)
        name = data.draw(st.sampled_from(running))
        self.world.jobs_fail(name)
        self.model.go(name, State.FAILED)

    @rule(name=NAMES, by=PEOPLE, same=st.booleans(), grade=st.sampled_from([Grade.PASS, Grade.FAIL]))
    def replace(self, name: str, by: Actor, same: bool, grade: Grade) -> None:
        """Constants made by hand take the place of its own; what is downstream follows by their contents."""
        value = self.model.made[name] if same else f"by hand {self.value}"
        if not self.attempt(Verb.REPLACE, name, by, self.world.by_hand(name, value)):
            return
        self.value += 1
        self.model.made[name] = value
        self.model.read[name] = self.model.reads_now(name)
        self.model.kept.pop(name, None)
        self.model.ran.pop(name, None)
        self.model.by_hand.add(name)
        self.model.go(name, State.VALIDATING)
        self.world.judged(name, grade)
        self.model.go(name, State.REVIEW)
        type(self).grade[name] = grade

    @invariant()
    def loop_and_model_agree(self) -> None:
        if not hasattr(self, "world"):
            return
        with self.world.database.read() as db:
            view = self.world.view(db)
            for name, calibration in view.calibrations.items():
                assert calibration.state is self.model.state[name], name
                assert view.standing(name).freshness.value == self.model.freshness(name), name
                assert view.settled(name) == self.model.settled(name), name
                start, end = (START + timedelta(seconds=moment) for moment in self.model.window[name])
                assert (calibration.window_started_at, calibration.window_ends_at) == (start, end), name
                assert loop.why(view, calibration, self.world.clock.now()).sentence
            decisions = db.scalar(
                select(func.count()).select_from(Decision).where(Decision.calibration_id.is_not(None))
            )
            assert decisions == self.model.acts
            assert view.processing.generation == self.model.generation


TestLoop = LoopAgainstModel.TestCase
TestLoop.settings = settings(
    max_examples=8, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
