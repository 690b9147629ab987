"""Time comes from outside; a process is known even after its number was used again."""

import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from b2cal.core.clock import ManualClock, SystemClock
from b2cal.core.errors import B2calError
from b2cal.core.processes import ProcessIdentity

START = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_a_manual_clock_moves_only_when_told():
    clock = ManualClock(START)
    assert clock.now() == clock.now() == START
    clock.advance(timedelta(hours=48))
    assert clock.now() == START + timedelta(hours=48)


def test_a_manual_clock_does_not_go_back():
    with pytest.raises(ValueError, match="cannot go back"):
        ManualClock(START).advance(timedelta(seconds=-1))


def test_a_manual_clock_needs_a_time_zone_and_tells_utc():
    with pytest.raises(ValueError, match="no time zone"):
        ManualClock(datetime(2026, 11, 22, 12))  # noqa: DTZ001 (that is what is refused)
    clock = ManualClock(datetime(2026, 11, 22, 21, tzinfo=timezone(timedelta(hours=9))))
    assert (clock.now(), clock.now().tzinfo) == (START, UTC)


def test_the_system_clock_tells_utc():
    assert abs(SystemClock().now() - datetime.now(UTC)) < timedelta(seconds=5)
    assert SystemClock().now().tzinfo is UTC


def test_an_error_is_its_message_and_carries_a_hint():
    error = B2calError("The port 8080 is in use.", hint="Choose another.")
    assert (str(error), error.hint) == ("The port 8080 is in use.", "Choose another.")


def test_this_process_is_alive():
    me = ProcessIdentity.current()
    assert me.pid == os.getpid()
    assert me == ProcessIdentity.of(os.getpid())
    assert me.is_alive()


def test_a_process_that_has_the_number_of_another_is_not_that_one():
    me = ProcessIdentity.current()
    assert not replace(me, start_time=me.start_time - 1).is_alive()
    assert not replace(me, boot_id="an earlier start of the machine").is_alive()


def test_a_process_is_dead_when_it_has_ended_even_before_somebody_asked_for_its_exit_code():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        identity = ProcessIdentity.of(child.pid)
        assert identity is not None
        assert identity.is_alive()
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not identity.is_alive()
    assert not identity.is_alive()
    assert ProcessIdentity.of(child.pid) is None


def test_a_name_with_brackets_and_blanks_does_not_confuse(tmp_path):
    program = tmp_path / "a) Z (b"
    program.symlink_to(sys.executable)
    with subprocess.Popen([program, "-c", "input()"], stdin=subprocess.PIPE) as child:
        identity = ProcessIdentity.of(child.pid)
        child.kill()
    assert identity is not None
    assert identity.start_time >= ProcessIdentity.current().start_time
