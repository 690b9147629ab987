"""There is one agent, and an agent that slept too long writes nothing."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from b2cal.agent import AgentLease, LeaseLost
from b2cal.agent.lease import DURATION, LONGEST, this_process
from b2cal.core.clock import ManualClock
from b2cal.core.processes import ProcessIdentity
from tests import factories


@pytest.fixture
def clock():
    return ManualClock(datetime(2026, 11, 22, 12, tzinfo=UTC))


@pytest.fixture
def database(tmp_path, clock):
    database = factories.database(tmp_path, clock)
    yield database
    database.dispose()


@pytest.fixture
def first(database):
    return AgentLease(database, "elsewhere 1 1 boot")


@pytest.fixture
def second(database):
    return AgentLease(database, "elsewhere 2 1 boot")


def test_only_one_holds_the_lease(first, second):
    assert first.keep()
    assert not second.keep()
    assert first.keep()


def test_a_lease_that_is_not_renewed_passes_on_when_it_ends(first, second, clock):
    first.keep()
    clock.advance(DURATION - timedelta(seconds=1))
    assert not second.keep()
    clock.advance(timedelta(seconds=1))
    assert second.keep()


def test_a_lease_that_is_kept_never_passes_on(first, second, clock):
    for _ in range(20):
        assert first.keep()
        assert not second.keep()
        clock.advance(timedelta(seconds=5))


def test_who_wakes_up_after_another_took_over_is_told_and_writes_nothing(first, second, clock, database):
    first.keep()
    clock.advance(DURATION)
    second.keep()
    with pytest.raises(LeaseLost):
        first.keep()
    with pytest.raises(LeaseLost):
        database.write(first.fence)
    database.write(second.fence)


def test_who_never_held_the_lease_writes_nothing(first, database):
    with pytest.raises(LeaseLost):
        database.write(first.fence)


def test_every_holder_has_a_larger_epoch(first, second, clock):
    first.keep()
    clock.advance(DURATION)
    second.keep()
    first.forget()
    clock.advance(DURATION)
    first.keep()
    assert (second.epoch, first.epoch) == (2, 3)


def test_a_lease_given_back_is_free_at_once(first, second):
    first.keep()
    first.give_back()
    assert second.keep()
    first.give_back()
    assert not first.keep()


@pytest.mark.parametrize("call", [timedelta(minutes=5), timedelta(hours=1)])
def test_a_lease_that_is_to_outlast_a_call_does_but_none_that_hangs_and_is_as_short_as_ever_afterwards(
    first, second, clock, database, call
):
    first.keep()
    database.write(lambda db: first.outlast(db, call))
    clock.advance(min(call, LONGEST - timedelta(seconds=1)))
    assert not second.keep()
    first.keep()
    clock.advance(DURATION)
    assert second.keep()
    second.give_back()
    first.forget()
    first.keep()
    database.write(lambda db: first.outlast(db, call))
    clock.advance(LONGEST)
    assert second.keep()


def test_a_lease_is_kept_between_the_parts_of_a_long_work(first, second, clock):
    def parts() -> Iterator[bool]:
        for _ in range(10):
            clock.advance(DURATION * 2 / 3)
            yield second.keep()

    first.keep()
    assert list(first.kept_over(parts())) == [False] * 10


def test_who_has_lost_the_lease_in_a_long_part_and_takes_it_again_keeps_it_in_the_next(first, second, clock):
    def parts(long: timedelta) -> Iterator[bool]:
        clock.advance(long)
        yield second.keep()

    first.keep()
    with pytest.raises(LeaseLost):
        list(first.kept_over(parts(2 * DURATION)))
    first.forget()
    second.give_back()
    first.keep()
    assert list(first.kept_over(parts(2 * DURATION))) == [False]


def test_nobody_waits_for_a_holder_that_was_killed_on_the_same_machine(database, second):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        identity = ProcessIdentity.of(process.pid)
        killed = AgentLease(database, f"{socket.gethostname()} {identity.pid} {identity.start_time} {identity.boot_id}")
        killed.keep()
        assert not second.keep()
        process.kill()
    assert second.keep()


def test_a_process_knows_itself_as_a_living_holder(database, second):
    AgentLease(database, this_process()).keep()
    assert not second.keep()
