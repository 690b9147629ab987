"""Side effects are carried out at least once; what fails delays only what comes after it about the same thing."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from b2cal.agent.outbox import AT_A_TIME, MOST_TRIES
from b2cal.core.clock import ManualClock
from b2cal.core.ids import new_token
from b2cal.model import Outbox, now


@pytest.fixture
def clock():
    return ManualClock(datetime(2026, 11, 22, 12, tzinfo=UTC))


def tell(site, kind: str, number: int, about: str = "calibration 1", tries: int = 0) -> None:
    def unit(db):
        body = {"number": number, "about": about}
        db.add(Outbox(key=new_token(), kind=kind, about=about, body=body, created_at=now(db), tries=tries))

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


def test_after_a_failure_only_what_follows_about_the_same_thing_waits(site, clock):
    for number in range(2):
        for about in ("calibration 1", "calibration 2"):
            tell(site, "message", number, about)
        tell(site, "graph", number)
    done: list[tuple[str, str, int]] = []
    broken = True

    def message(body):
        if broken and body["about"] == "calibration 1":
            raise OSError("the server refuses this address")
        done.append(("message", body["about"], body["number"]))

    agent = site.agent({"graph": lambda body: done.append(("graph", "", body["number"])), "message": message})
    agent.round()
    assert sorted(done) == [("graph", "", 0), ("graph", "", 1), *(("message", "calibration 2", n) for n in (0, 1))]
    assert unsent(site) == [("message", 0), ("message", 1)]
    done.clear()
    broken = False
    clock.advance(timedelta(seconds=1))
    agent.round()
    assert done == [("message", "calibration 1", 0), ("message", "calibration 1", 1)]


def test_many_that_cannot_be_delivered_do_not_keep_others_waiting(site):
    for number in range(AT_A_TIME + 10):
        tell(site, "message", number)
    tell(site, "message", -1, "calibration 2")
    done: list[int] = []

    def message(body):
        if body["number"] >= 0:
            raise OSError("refused")
        done.append(body["number"])

    site.agent({"message": message}).round()
    assert done == [-1]


def test_a_failing_side_effect_is_tried_less_and_less_often_and_its_error_is_kept(site, clock):
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
    with site.database.read() as db:
        row = db.query(Outbox).one()
    assert (row.tries, row.error, row.given_up_at) == (len(tries), "RuntimeError: no", None)


def test_after_the_last_try_it_is_given_up_and_what_follows_goes_on(site, clock):
    tell(site, "graph", 0, tries=MOST_TRIES - 1)
    tell(site, "graph", 1)
    seen: list[int] = []

    def graph(body):
        seen.append(body["number"])
        if not body["number"]:
            raise RuntimeError("no")

    agent = site.agent({"graph": graph})
    for _ in range(5):
        agent.round()
        clock.advance(timedelta(minutes=2))
    assert seen == [0, 1]
    with site.database.read() as db:
        poison, after = db.query(Outbox).order_by(Outbox.id)
    assert poison.given_up_at is not None
    assert (poison.sent_at, poison.tries, poison.error) == (None, MOST_TRIES, "RuntimeError: no")
    assert after.sent_at is not None


def test_what_nobody_can_carry_out_yet_stays(site):
    tell(site, "message", 0)
    site.agent({"graph": print}).round()
    assert unsent(site) == [("message", 0)]
