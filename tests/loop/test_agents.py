"""What b2cal does by itself is said to happen now only while it runs."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from b2cal import loop
from b2cal.model import Grade, JobGroup, Lease, now
from tests.loop.world import World

AGAIN = "when b2cal runs again (`b2cal up`)."


def window_over(world: World) -> None:
    world.tick(101)


def submitted(world: World) -> None:
    world.do("submit", "A")


def running(world: World) -> None:
    submitted(world)
    world.advance("A")


def judged(world: World) -> None:
    running(world)
    world.jobs_end("A", 1)


def green(world: World) -> None:
    judged(world)
    world.judged("A", Grade.PASS)


SENTENCES: list[tuple[Callable[[World], None], str]] = [
    (window_over, "The window is over: it is submitted"),
    (submitted, "Starts"),
    (judged, "The new constants are judged"),
    (green, "Nothing to check; it is signed off"),
]


def sentence(world: World) -> str:
    with world.database.read() as db:
        view = world.view(db)
        return loop.why(view, view.calibration("A"), world.clock.now()).sentence


def the_agent_ends(world: World) -> None:
    world.database.write(lambda db: db.execute(update(Lease).values(expires_at=now(db))))


@pytest.mark.parametrize(("comes_there", "said"), SENTENCES, ids=[each.__name__ for each, _ in SENTENCES])
def test_nothing_is_said_to_happen_now_while_b2cal_does_not_run(
    world: World, comes_there: Callable[[World], None], said: str
) -> None:
    comes_there(world)
    assert sentence(world) == f"{said} now."
    the_agent_ends(world)
    assert sentence(world) == f"{said} {AGAIN}"


def test_jobs_and_their_next_tries_do_not_go_on_while_b2cal_does_not_run(world: World) -> None:
    running(world)

    def tried_again(db: Session) -> None:
        db.execute(update(JobGroup).values(round=1, not_before=now(db) + timedelta(hours=1)))

    world.database.write(tried_again)
    assert "tried again at 13:00 UTC" in sentence(world)
    the_agent_ends(world)
    assert sentence(world).endswith(f"jobs done. It goes on {AGAIN}")


def test_an_agent_that_was_never_there_is_none(world: World) -> None:
    submitted(world)
    world.database.write(lambda db: db.query(Lease).delete())
    assert sentence(world) == f"Starts {AGAIN}"
