"""Side effects are carried out at least once, in order per kind, and never lost."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from b2cal.core.clock import ManualClock
from b2cal.core.ids import new_token
from b2cal.model import Outbox, now


@pytest.fixture
def clock():
    return ManualClock(datetime(2026, 11, 22, 12, tzinfo=UTC))


def tell(site, kind: str, number: int) -> None:
    def unit(db):
        db.add(Outbox(key=new_token(), kind=kind, body={"number": number}, created_at=now(db), tries=0))

    site.database.write(unit)


def unsent(site) -> list[tuple[str, int]]:
    with site.database.read() as db:
        rows = db.query(Outbox).where(Outbox.sent_at.is_(None)).order_by(Outbox.id)
        return [(row.kind, row.body["number"]) for row in rows]


def test_side_effects_are_carried_out_once_in_their_order(site, clock):
    for number in range(5):
        tell(site, "graph", number)
    done: list[int] = []
    agent = site.agent({"graph": lambda body: done.append(body["number"])})
    agent.round()
    clock.advance(timedelta(seconds=1))
    agent.round()
    assert done == [0, 1, 2, 3, 4]
    assert unsent(site) == []


def test_after_a_failure_its_kind_waits_in_order_and_other_kinds_go_on(site, clock):
    for number in range(2):
        tell(site, "graph", number)
        tell(site, "message", number)
    done: list[tuple[str, int]] = []
    broken = True

    def graph(body):
        if broken:
            raise OSError("disk full")
        done.append(("graph", body["number"]))

    agent = site.agent({"graph": graph, "message": lambda body: done.append(("message", body["number"]))})
    agent.round()
    agent.round()
    assert done == [("message", 0), ("message", 1)]
    assert unsent(site) == [("graph", 0), ("graph", 1)]
    broken = False
    clock.advance(timedelta(seconds=1))
    agent.round()
    assert done[2:] == [("graph", 0), ("graph", 1)]


def test_a_failing_side_effect_is_tried_less_and_less_often_but_never_given_up(site, clock):
    tell(site, "graph", 0)
    tries: list[datetime] = []

    def graph(_body):
        tries.append(clock.now())
        raise RuntimeError("no")

    agent = site.agent({"graph": graph})
    for _ in range(600):
        agent.round()
        clock.advance(timedelta(seconds=0.5))
    pauses = [(later - earlier).total_seconds() for earlier, later in pairwise(tries)]
    assert pauses == sorted(pauses)
    assert pauses[0] < 2
    assert pauses[-1] == 60


def test_what_nobody_can_carry_out_yet_stays(site):
    tell(site, "message", 0)
    site.agent({"graph": print}).round()
    assert unsent(site) == [("message", 0)]
