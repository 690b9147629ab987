"""Real jobs of the toy detector's first calibrations, driven by the loop and the agent in one process."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import simulate
from sqlalchemy.orm import Session

from b2cal import loop
from b2cal.agent import Agent
from b2cal.batch import LocalBackend
from b2cal.cli import furnishing
from b2cal.core.clock import SystemClock
from b2cal.loop import Act, Actor, Choice, ProcessingView, Workplace
from b2cal.model import Grade, Role, State
from b2cal.settings import BatchSettings, Settings
from tests import factories
from tests.waiting import wait_for

pytestmark = [pytest.mark.processes, pytest.mark.timeout(300)]

RUNS = range(7, 9)
EVENTS = {"random": 200}
MANAGER = Actor(furnishing.MANAGER, Role.MANAGER)
AT_WORK = (State.SUBMITTED, State.RUNNING, State.VALIDATING)


class ToyLoop:
    """The processing of the demo over two runs, in which a person submits and decides."""

    def __init__(self, home: Path, planted: Mapping[str, float]) -> None:
        simulate.simulate(home / "data", simulate.Profile(RUNS, EVENTS), 5, planted, RUNS)
        (home / "data" / "complete").touch()
        settings = Settings(home=home, batch=BatchSettings(slots=2, retry_delay_s=1))
        self.database = factories.database(home, SystemClock())
        self.workplace = Workplace(settings, self.database)
        self.agent = Agent(settings, self.database, {"local": LocalBackend(self.database, 2)}, {})
        furnishing.prepare(self.workplace, furnishing.Story(furnishing.SMALL, 5))

    def act(self, name: str, verb: Callable[[Session, int, Act], object]) -> None:
        def unit(db: Session) -> None:
            it = ProcessingView.of(db, furnishing.PROCESSING).calibration(name)
            verb(db, it.id, Act(MANAGER, it.version, "to see what it does"))

        self.database.write(unit)

    def submit(self, name: str, **changes: object) -> State:
        """Submit with changes of the configuration; the state when the loop has done what it can."""
        self.act(name, lambda db, number, act: loop.submit(db, number, Choice(changes), act))

        def rests() -> bool:
            self.agent.round()
            return State(loop.advance(self.workplace, furnishing.PROCESSING, name).state) not in AT_WORK

        wait_for(rests, f"the end of {name}", 100)
        return State(loop.advance(self.workplace, furnishing.PROCESSING, name).state)

    def bad_checks(self, name: str) -> set[str]:
        with self.database.read() as db:
            verdict = ProcessingView.of(db, furnishing.PROCESSING).attempts[name].verdict
            assert verdict is not None
            return {check["name"] for check in verdict.checks if check["grade"] != Grade.PASS}

    def identity(self, name: str) -> str:
        """Of the constants that its attempt made."""
        with self.database.read() as db:
            (made,) = ProcessingView.of(db, furnishing.PROCESSING).attempts[name].payloads
            return made.payload.identity


@pytest.fixture
def toy_loop(tmp_path: Path) -> Iterator[Callable[[Mapping[str, float]], ToyLoop]]:
    made = []

    def make(planted: Mapping[str, float]) -> ToyLoop:
        made.append(ToyLoop(tmp_path, planted))
        return made[-1]

    yield make
    for each in made:
        each.database.dispose()


def test_what_is_planted_comes_before_a_person_and_is_not_signed_off_by_itself(
    toy_loop: Callable[[Mapping[str, float]], ToyLoop],
) -> None:
    loop_ = toy_loop({"channel_mask.bad_crystals": 2.0})
    assert loop_.submit("Pedestals") is State.SIGNED_OFF
    assert loop_.submit("Channel mask") is State.REVIEW
    assert loop_.bad_checks("Channel mask") == {"bad_crystals"}


def test_a_changed_configuration_gives_other_constants_than_the_default(
    toy_loop: Callable[[Mapping[str, float]], ToyLoop],
) -> None:
    loop_ = toy_loop({})
    assert loop_.submit("Pedestals") is State.SIGNED_OFF
    assert loop_.submit("Channel mask") is State.SIGNED_OFF
    default = loop_.identity("Channel mask")
    loop_.act("Channel mask", loop.reject)
    assert loop_.submit("Channel mask", hot_channel_rate=0.04) is State.REVIEW  # as often as good channels have hits
    assert {"bad_channels", "every_layer_reads_out"} <= loop_.bad_checks("Channel mask")
    assert loop_.identity("Channel mask") != default
