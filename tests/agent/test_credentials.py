"""Nothing is submitted that could not prove who it is, and what ends is renewed in time."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from b2cal.agent import Agent
from b2cal.core.clock import ManualClock
from b2cal.core.processes import ProcessIdentity
from b2cal.data import Credentials
from b2cal.model import GroupState
from tests.services.credentials import private, token
from tests.waiting import wait_for

from .conftest import Site

pytestmark = pytest.mark.processes

HOUR = timedelta(hours=1)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime.now(UTC))


@pytest.fixture
def renewed(tmp_path: Path) -> Path:
    """What a renewal would bring: a token for ten hours."""
    return private(tmp_path / "renewed", token(10 * HOUR))


def with_token(site: Site, lasts: timedelta, *renew: str) -> Path:
    """Jobs on this machine prove by a token who they are."""
    file = private(site.settings.home / "token.jwt", token(lasts))
    storage = {"token": str(file), "renew": renew, "renew_before_s": 7200.0}
    site.settings = site.settings.model_copy(update={"batch": site.settings.batch.model_copy(update=storage)})
    return file


def why_it_waits(site: Site, group_id: int) -> str:
    seen = site.group(group_id)
    assert (seen["state"], seen["epoch"]) == (GroupState.WANTED, 0)
    return str(seen["jobs"][0]["error"])


def trouble(site: Site) -> str:
    return Credentials.of(site.settings, "local").renewal_trouble()


def through(agent: Agent, site: Site, clock: ManualClock) -> None:
    """The command has been given and judged, however it ends."""

    def judged() -> bool:
        agent.round()
        return bool(trouble(site))

    wait_for(judged, "its end is told")
    clock.advance(timedelta(minutes=1))


def test_jobs_of_this_machine_find_the_file_where_it_is_and_nothing_of_it_is_written_down(site: Site) -> None:
    file = with_token(site, 3 * HOUR)
    group_id = site.want({"do": "json.dump(dict(os.environ), open('seen', 'w'))"})
    done = site.run_until(site.agent(), group_id, GroupState.DONE, GroupState.FAILED)
    folder = site.settings.attempts / done["jobs"][0]["folder"]
    assert json.loads((folder / "seen").read_text())["BEARER_TOKEN_FILE"] == str(file)
    secret = file.read_text().split(".")[1]
    files = [path for path in site.settings.home.rglob("*") if path.is_file()]
    assert [path for path in files if secret in path.read_text("latin1")] == [file]


def test_what_would_fail_for_want_of_time_waits_says_so_and_goes_on_by_itself(site: Site, clock: ManualClock) -> None:
    file = with_token(site, HOUR / 2)
    agent = site.agent()
    group_id = site.want({})
    agent.round()
    assert why_it_waits(site, group_id).startswith(
        f"Not submitted yet, it is tried again: The token {file} of local is valid until "
    )
    assert "less than the 3600 s of `least_left_s`. Renew it;" in why_it_waits(site, group_id)
    private(file, token(3 * HOUR))
    clock.advance(timedelta(minutes=1))
    done = site.run_until(agent, group_id, GroupState.DONE, GroupState.FAILED)
    assert (done["state"], done["jobs"][0]["error"]) == (GroupState.DONE, "")


def test_a_credential_is_renewed_before_it_ends_and_work_goes_on(site: Site, clock: ManualClock, renewed: Path) -> None:
    file = with_token(site, HOUR / 2, "cp", "--preserve=mode", str(renewed), str(site.settings.home / "token.jwt"))
    agent = site.agent()
    group_id = site.want({})

    def done() -> bool:
        agent.round()
        clock.advance(timedelta(seconds=1))
        return bool(site.group(group_id)["state"] is GroupState.DONE)

    wait_for(done, "its jobs are done")
    assert file.read_text() == renewed.read_text()
    assert trouble(site) == ""


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (("sh", "-c", "echo secret; echo secret >&2; exit 3"), "ended with code 3"),
        (("true",), "ended well, but what it should renew still ends in less than `renew_before_s`"),
        (("/nowhere/renew",), "cannot be called: No such file or directory"),
    ],
)
def test_a_renewal_in_vain_is_told_with_what_to_do_and_tried_again(
    site: Site, clock: ManualClock, renewed: Path, command: tuple[str, ...], what: str
) -> None:
    file = with_token(site, HOUR / 2, *command)
    group_id = site.want({})
    agent = site.agent()
    through(agent, site, clock)
    agent.round()
    assert f"The command `renew` of local {what} (" in why_it_waits(site, group_id)
    assert "give it by hand to see why; it is tried again every 5 minutes." in why_it_waits(site, group_id)
    assert "secret" not in why_it_waits(site, group_id)
    agent.stop()
    again = ("cp", "--preserve=mode", str(renewed), str(file))
    site.settings = site.settings.model_copy(update={"batch": site.settings.batch.model_copy(update={"renew": again})})
    site.run(site.agent(), lambda: not trouble(site), "the next one was not in vain")


def test_an_agent_that_stops_ends_the_command_that_nobody_would_follow(site: Site, tmp_path: Path) -> None:
    with_token(
        site, HOUR * 1.5, "sh", "-c", f"sleep 600 & echo $! >{tmp_path}/half; mv {tmp_path}/half {tmp_path}/pid; wait"
    )
    agent = site.agent()
    site.run(agent, (tmp_path / "pid").exists, "it has begun")
    started = int((tmp_path / "pid").read_text())
    agent.stop()
    wait_for(lambda: ProcessIdentity.of(started) is None, "it is gone with all that it has started")


@pytest.mark.parametrize("command", ["cp --preserve=mode renewed token.jwt", "exit 1"])
def test_where_nothing_can_be_noted_of_a_renewal_the_work_goes_on(
    site: Site, clock: ManualClock, renewed: Path, command: str
) -> None:
    ended = renewed.with_name("ended")
    with_token(site, HOUR * 1.5, "sh", "-c", f"cd {renewed.parent}; touch ended; {command}")
    note = Credentials.of(site.settings, "local").note
    note.parent.parent.mkdir(parents=True, exist_ok=True)
    note.parent.write_text("a file where the folder should be")
    agent = site.agent()
    site.run(agent, ended.exists, "the command is given")
    clock.advance(timedelta(minutes=2))
    done = site.run_until(agent, site.want({}), GroupState.DONE, GroupState.FAILED)
    assert done["state"] is GroupState.DONE
    agent.stop()


def test_a_command_that_hangs_keeps_nothing_waiting_and_is_ended(
    site: Site, clock: ManualClock, tmp_path: Path
) -> None:
    with_token(site, HOUR * 1.5, "sh", "-c", f"echo $$ >{tmp_path}/pid; sleep 600")
    agent = site.agent()
    done = site.run_until(agent, site.want({}), GroupState.DONE, GroupState.FAILED)
    assert done["state"] is GroupState.DONE
    wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip(), "it has begun")
    clock.advance(timedelta(minutes=5))
    agent.round()
    assert "has not ended within 5 minutes" in trouble(site)
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()
