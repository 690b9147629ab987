"""Who gives no sign of life is started again; nobody is doubted while nobody can tell."""

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from b2cal.cli import watch
from b2cal.cli.components import Address, Component
from b2cal.cli.supervisor import Supervisor
from b2cal.cli.watch import Phase
from b2cal.model import Lease
from tests import factories
from tests.cli.supervisor.seen import (
    ENDS_SOON,
    WAITS,
    all_run,
    only,
    pid_of,
)
from tests.cli.supervisor.supervised import python
from tests.services.ports import free_ports
from tests.waiting import wait_for

pytestmark = pytest.mark.processes

SERVER = """
import http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        try: body = open(sys.argv[1], "rb").read()
        except OSError: body = b"no such page"
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
"""


def server(name: str, page: Path) -> Component:
    (port,) = free_ports(1)
    command = (sys.executable, "-E", "-c", SERVER, str(page), str(port))
    return Component(name, command, Address("127.0.0.1", port, f"{name}.port"))


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_component_works_when_it_answers_and_is_started_again_when_it_hangs(
    start: Callable[..., Supervisor], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("b2cal.cli.health.TIMEOUT_S", 0.3)
    running = start(replace(server("site", home / "page"), patience_s=1.0))
    first = pid_of(running)
    wait_for(lambda: all_run(running))
    os.kill(first, signal.SIGSTOP)
    wait_for(lambda: only(running).phase is Phase.SILENT)
    wait_for(lambda: only(running).restarts == 1)
    assert only(running).note == "showed no sign of life for 1 s"
    wait_for(lambda: all_run(running))


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_heartbeats_are_believed_when_they_are_of_this_life_and_doubted_when_they_stop(
    start: Callable[..., Supervisor], home: Path
) -> None:
    page = home / "health.json"

    def beats(at: str) -> None:
        temporary = home / "temporary"
        temporary.write_text(json.dumps({"scheduler": {"status": "healthy", "latest_scheduler_heartbeat": at}}))
        temporary.replace(page)

    beats("2020-01-01T00:00:00+00:00")  # of an earlier life
    scheduler = replace(python("scheduler", WAITS), heartbeat="scheduler", patience_s=1.0)
    running = start(server("api-server", page), scheduler)
    wait_for(lambda: running.status[0].phase is Phase.RUNNING)
    assert running.status[1].phase is Phase.STARTING
    beats(datetime.now(UTC).isoformat())
    wait_for(lambda: all_run(running))
    wait_for(lambda: running.status[1].restarts == 1)
    assert running.status[0].restarts == 0


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_nobody_is_doubted_while_the_one_who_could_tell_is_away(
    start: Callable[..., Supervisor], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "FIRST_SIGN_WITHIN_S", 0.3)
    scheduler = replace(python("scheduler", WAITS), heartbeat="scheduler", patience_s=0.3)
    address = Address("127.0.0.1", free_ports(1)[0], "airflow.port")
    api_server = replace(python("api-server", WAITS), address=address, patience_s=0.3)
    running = start(api_server, scheduler)
    wait_for(lambda: running.status[0].restarts == 2)
    assert running.status[1].restarts == 0
    assert running.status[1].phase is Phase.STARTING


@pytest.fixture
def lease(home: Path) -> Callable[..., None]:
    """Let the lease of the agent end so many seconds from now."""
    database = factories.database(home)

    def ends(in_s: float) -> None:
        at = datetime.now(UTC) + timedelta(seconds=in_s)
        database.write(lambda db: db.merge(Lease(name="agent", holder="somebody", epoch=1, expires_at=at)))

    return ends


def test_an_agent_that_lets_its_lease_run_out_is_started_again(
    start: Callable[..., Supervisor], home: Path, lease: Callable[..., None]
) -> None:
    agent = replace(python("agent", WAITS), lease_in=f"sqlite:///{home / 'b2cal.db'}", patience_s=1.0)
    lease(-3600)  # of an earlier life
    running = start(agent)
    first = pid_of(running)
    assert only(running).phase is Phase.STARTING
    lease(1)
    wait_for(lambda: all_run(running))
    assert pid_of(running) == first
    wait_for(lambda: only(running).restarts == 1)
    assert only(running).note == "showed no sign of life for 1 s"
    assert pid_of(running) != first


def test_who_hangs_is_started_again_although_the_log_of_another_was_removed(
    start: Callable[..., Supervisor], home: Path, lease: Callable[..., None]
) -> None:
    agent = replace(python("agent", WAITS), lease_in=f"sqlite:///{home / 'b2cal.db'}", patience_s=1.0)
    lease(3600)
    running = start(python("site", WAITS), agent)
    wait_for(lambda: all_run(running))
    (home / "logs" / "site.log").unlink()
    lease(0)
    wait_for(lambda: running.status[1].restarts)
    assert running.status[1].note == "showed no sign of life for 1 s"
    assert running.status[0].restarts == 0


def test_an_agent_is_not_doubted_while_its_lease_cannot_be_looked_at(
    start: Callable[..., Supervisor], home: Path, lease: Callable[..., None]
) -> None:
    (home / "b2cal.db").rename(home / "away.db")
    (home / "b2cal.db").mkdir()
    agent = replace(python("agent", WAITS), lease_in=f"sqlite:///{home / 'b2cal.db'}", patience_s=0.01)
    running = start(agent, python("site", ENDS_SOON))
    wait_for(lambda: running.status[1].restarts >= 2)
    assert running.status[0].restarts == 0
