"""What `b2cal up` promises, with small real processes in place of Airflow, agent and site."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import psutil
import pytest

from b2cal.cli import processes, supervisor, watch
from b2cal.cli.components import Address, Component
from b2cal.cli.foreground import CannotUseHome, supervising
from b2cal.cli.ports import PortInUse, check_ports
from b2cal.cli.processes import CannotEnd
from b2cal.cli.supervisor import KEPT_LOGS, Supervisor, rotate
from b2cal.cli.up import troubles
from b2cal.cli.watch import ComponentStatus, Phase
from b2cal.model import Lease
from tests import factories
from tests.cli.supervised import python

pytestmark = pytest.mark.processes

PROGRAM = Path(__file__).with_name("supervised.py")

WAITS = "import time; time.sleep(600)"

ENDS_SOON = "import time; time.sleep(0.05); raise SystemExit(3)"

IGNORES_SIGTERM = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
while True: time.sleep(600)
"""

# As the scheduler: workers in its group, a task in a group of its own. And as the agent: a batch job that outlives.
HAS_FAMILY = """
import os, subprocess, sys, time
def fork(act):
    if os.fork() == 0:
        act()
        time.sleep(600)
fork(lambda: None)
fork(lambda: os.setpgid(0, 0))
fork(lambda: fork(lambda: os.setpgid(0, 0)))
subprocess.run(["setsid", "--fork", sys.executable, "-S", "-E", "-c",
    "import os, time; print('job', os.getpid(), flush=True); time.sleep(600)"])
time.sleep(600)
"""


def eventually(condition: Callable[[], Any], within_s: float = 60.0) -> Any:
    """What the condition gives once that is true."""
    give_up_at = time.monotonic() + within_s
    while not (result := condition()):
        assert time.monotonic() < give_up_at, "it never came true"
        time.sleep(0.01)
    return result


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same in less time."""
    monkeypatch.setattr(supervisor, "ROUND_S", 0.02)
    monkeypatch.setattr(supervisor, "LISTEN_EVERY_S", 0.05)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name in ("run", "logs"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.fixture
def start(home: Path) -> Iterator[Callable[..., Supervisor]]:
    """Start a supervisor in this process; it is stopped after the test."""
    started: list[Supervisor] = []
    hurry = Event()
    hurry.set()

    def start_one(*components: Component) -> Supervisor:
        started.append(Supervisor(components, home))
        started[-1].start()
        return started[-1]

    yield start_one
    for one in started:
        one.stop(hurry)


@pytest.fixture
def run_program(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Run the program of this folder; whatever it started is ended after the test."""
    programs: list[subprocess.Popen[str]] = []

    def run(**code: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(PROGRAM), str(tmp_path), *(f"{name}={text}" for name, text in code.items())]
        if os.geteuid() == 0:  # as anybody else, who may not write everywhere
            command = ["setpriv", "--inh-caps=-all", "--bounding-set=-all", "--", *command]
        environment = os.environ | {"PYTHONPATH": str(PROGRAM.parents[2])}
        programs.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
        return programs[-1]

    yield run
    pids = (
        [component["pid"] for component in told(tmp_path)["components"]] if (tmp_path / "run/up.json").exists() else []
    )
    for program in programs:
        program.kill()
        program.communicate()
    for pid in filter(None, pids):
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def told(home: Path) -> Any:
    """The status as the supervisor wrote it."""
    return json.loads((home / "run" / "up.json").read_text())


def jobs_of(log: Path) -> list[int]:
    """The batch jobs that HAS_FAMILY started."""
    return [int(line.split()[1]) for line in log.read_text().splitlines() if line.startswith("job ")]


def only(supervisor: Supervisor) -> ComponentStatus:
    [status] = supervisor.status
    return status


def pid_of(supervisor: Supervisor) -> int:
    return int(eventually(lambda: only(supervisor).pid))


def all_run(supervisor: Supervisor) -> bool:
    """Whether every component has shown that it works."""
    return {status.phase for status in supervisor.status} == {Phase.RUNNING}


def family(pid: int) -> set[int]:
    """All living processes of a session."""
    found = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) == pid and process.status() != psutil.STATUS_ZOMBIE:
                found.add(process.pid)
    return found


# --- restarts ---------------------------------------------------------------------------------------------------------


def test_what_is_killed_is_started_again_at_once(start: Callable[..., Supervisor]) -> None:
    running = start(python("scheduler", WAITS))
    first = pid_of(running)
    killed_at = time.monotonic()
    os.kill(first, signal.SIGKILL)
    eventually(lambda: only(running).pid not in (None, first))
    assert time.monotonic() - killed_at < 2
    assert (only(running).restarts, only(running).note) == (1, "ended by signal 9")


def test_what_ends_again_and_again_is_started_less_and_less_often(
    start: Callable[..., Supervisor], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = (0.0, 0.1, 0.3, 0.6)
    monkeypatch.setattr(watch, "RESTART_AFTER_S", pauses)
    says_when = "import time; print('at', time.monotonic(), flush=True); raise SystemExit(3)"
    running = start(python("agent", says_when))
    log = home / "logs" / "agent.log"
    eventually(lambda: log.exists() and log.read_text().count("at ") == 5)
    times = [float(line.split()[1]) for line in log.read_text().splitlines() if line.startswith("at")]
    for pause, before, after in zip(pauses, times, times[1:], strict=False):
        assert after - before >= pause
    assert only(running).note == "ended with exit code 3"


def test_after_a_steady_life_the_next_restart_is_again_immediate(
    start: Callable[..., Supervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "RESTART_AFTER_S", (0.0, 600.0))
    monkeypatch.setattr(watch, "STEADY_AFTER_S", 0.02)
    running = start(python("agent", ENDS_SOON))
    eventually(lambda: only(running).restarts >= 3)


def test_a_dead_component_is_reaped_with_all_that_came_from_it_but_batch_jobs_live_on(
    start: Callable[..., Supervisor], home: Path
) -> None:
    running = start(python("scheduler", HAS_FAMILY))
    first = pid_of(running)
    log = home / "logs" / "scheduler.log"
    job = int(
        eventually(lambda: [line for line in log.read_text().splitlines() if line.startswith("job")])[0].split()[1]
    )
    try:
        eventually(lambda: len(family(first)) == 5)
        os.kill(first, signal.SIGKILL)
        eventually(lambda: only(running).restarts == 1)
        assert family(first) == set()
        assert psutil.Process(job).status() != psutil.STATUS_ZOMBIE
    finally:
        running.stop(Event())
        for pid in jobs_of(log):
            os.kill(pid, signal.SIGKILL)


def test_a_component_whose_child_was_killed_is_started_again_even_if_it_made_a_new_one(
    start: Callable[..., Supervisor],
) -> None:
    replaces_its_child = """
import os, time
while True:
    if os.fork() == 0:
        time.sleep(600)
    os.wait()
"""
    running = start(replace(python("scheduler", replaces_its_child), needs_children=True))
    first = pid_of(running)

    def restarted_after_a_kill() -> bool:
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(first).children():
                child.kill()
        return only(running).note == "lost a child process"

    eventually(restarted_after_a_kill)
    assert family(first) == set()


def test_a_component_whose_file_was_removed_is_started_again(start: Callable[..., Supervisor], home: Path) -> None:
    database = home / "airflow.db"
    running = start(replace(python("scheduler", WAITS), rests_on=database))
    first = pid_of(running)
    database.touch()  # made by the component while it starts: no reason to doubt
    eventually(lambda: only(running).phase is Phase.RUNNING)
    assert only(running).pid == first
    database.replace(home / "elsewhere")
    eventually(lambda: only(running).restarts == 1)
    assert "removed or replaced" in only(running).note


def test_what_cannot_be_started_is_reported_and_the_others_run(start: Callable[..., Supervisor]) -> None:
    running = start(Component("site", ("/does/not/exist",)), python("agent", WAITS))
    site, agent = eventually(lambda: running.status if running.status[1].pid else None)
    assert "could not be started" in site.note
    assert agent.restarts == 0


# --- health -----------------------------------------------------------------------------------------------------------

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


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def server(name: str, page: Path) -> Component:
    port = free_port()
    command = (sys.executable, "-E", "-c", SERVER, str(page), str(port))
    return Component(name, command, Address("127.0.0.1", port, f"{name}.port"))


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_component_works_when_it_answers_and_is_started_again_when_it_hangs(
    start: Callable[..., Supervisor], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("b2cal.cli.health.TIMEOUT_S", 0.3)
    running = start(replace(server("site", home / "page"), patience_s=1.0))
    first = pid_of(running)
    eventually(lambda: all_run(running))
    os.kill(first, signal.SIGSTOP)
    eventually(lambda: only(running).phase is Phase.SILENT)
    eventually(lambda: only(running).restarts == 1)
    assert only(running).note == "showed no sign of life for 1 s"
    eventually(lambda: all_run(running))


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
    eventually(lambda: running.status[0].phase is Phase.RUNNING)
    assert running.status[1].phase is Phase.STARTING
    beats(datetime.now(UTC).isoformat())
    eventually(lambda: all_run(running))
    eventually(lambda: running.status[1].restarts == 1)
    assert running.status[0].restarts == 0


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_nobody_is_doubted_while_the_one_who_could_tell_is_away(
    start: Callable[..., Supervisor], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "FIRST_SIGN_WITHIN_S", 0.3)
    scheduler = replace(python("scheduler", WAITS), heartbeat="scheduler", patience_s=0.3)
    address = Address("127.0.0.1", free_port(), "airflow.port")
    api_server = replace(python("api-server", WAITS), address=address, patience_s=0.3)
    running = start(api_server, scheduler)
    eventually(lambda: running.status[0].restarts == 2)
    assert running.status[1].restarts == 0
    assert running.status[1].phase is Phase.STARTING


# --- trouble that is met on the way -----------------------------------------------------------------------------------


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_who_finds_its_port_taken_says_by_whom_and_comes_up_when_it_is_free(
    start: Callable[..., Supervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "RESTART_AFTER_S", (0.0, 0.1))
    with closing(socket.create_server(("127.0.0.1", 0))) as stranger:
        port = stranger.getsockname()[1]
        running = start(replace(python("site", WAITS), address=Address("127.0.0.1", port, "site.port")))
        eventually(lambda: only(running).restarts >= 2)
        assert only(running).pid is None
        assert f"cannot listen on port {port}: process {os.getpid()}" in only(running).note
        [line] = eventually(lambda: troubles(running.status))
        assert line.startswith(f"site cannot listen on port {port}: process {os.getpid()}")
        assert line.endswith(f"it is started again, see {only(running).log}")
    eventually(lambda: only(running).pid)
    assert troubles(running.status) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own for the home."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(tmp_path)], check=True)
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def test_a_disk_that_is_full_when_all_is_stopped_is_no_reason_for_a_traceback(home: Path) -> None:
    (home / "logs" / "up.log").symlink_to("/dev/full")
    with pytest.raises(KeyboardInterrupt), supervising([python("patient", WAITS)], home, lambda: None):
        raise KeyboardInterrupt


def test_on_a_disk_that_becomes_full_what_runs_goes_on_and_what_died_comes_back_when_there_is_room(
    small_disk: Path, run_program: Callable[..., subprocess.Popen[str]]
) -> None:
    program = run_program(agent=WAITS, site=WAITS)
    agent, site = eventually(lambda: running_pids(small_disk, 2))
    ballast = small_disk / "ballast"
    with suppress(OSError), open(ballast, "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    os.kill(agent, signal.SIGKILL)
    eventually(lambda: not psutil.pid_exists(agent))  # reaped: the supervisor has noticed
    assert program.poll() is None
    assert psutil.pid_exists(site)
    assert running_pids(small_disk, 2) == [agent, site]  # the status could not be told anew
    ballast.unlink()
    eventually(lambda: (running_pids(small_disk, 2) or [agent])[0] != agent)
    assert running_pids(small_disk, 2)[1] == site


def test_in_a_home_that_becomes_read_only_what_died_is_started_again_and_told_when_it_can_be_written(
    tmp_path: Path, run_program: Callable[..., subprocess.Popen[str]]
) -> None:
    """Root may write everywhere unless it gives up that right."""
    run_program(agent=WAITS)
    [first] = eventually(lambda: running_pids(tmp_path, 1))
    (tmp_path / "run").chmod(0o500)
    os.kill(first, signal.SIGKILL)
    eventually(lambda: "Cannot write" in (tmp_path / "logs" / "up.log").read_text())
    assert running_pids(tmp_path, 1) == [first]
    (tmp_path / "run").chmod(0o700)
    eventually(lambda: running_pids(tmp_path, 1) not in (None, [first]))
    told_once = (tmp_path / "logs" / "up.log").read_text().count("could not do all of its round") == 1
    assert told_once  # not in every round


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_the_same_trouble_is_not_told_each_time_the_supervisor_listens(
    start: Callable[..., Supervisor], caplog: pytest.LogCaptureFixture
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as asked:
        address = Address("127.0.0.1", asked.getsockname()[1], "site.port")
        start(replace(python("site", WAITS), address=address), replace(python("agent", WAITS), lease_in="nonsense"))
        for _ in range(5):
            asked.accept()[0].close()
    assert caplog.text.count("The supervisor could not do all of its round") == 1


# --- stop -------------------------------------------------------------------------------------------------------------


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
    eventually(lambda: all_run(running))
    assert pid_of(running) == first
    eventually(lambda: only(running).restarts == 1)
    assert only(running).note == "showed no sign of life for 1 s"
    assert pid_of(running) != first


def test_who_hangs_is_started_again_although_the_log_of_another_was_removed(
    start: Callable[..., Supervisor], home: Path, lease: Callable[..., None]
) -> None:
    agent = replace(python("agent", WAITS), lease_in=f"sqlite:///{home / 'b2cal.db'}", patience_s=1.0)
    lease(3600)
    running = start(python("site", WAITS), agent)
    eventually(lambda: all_run(running))
    (home / "logs" / "site.log").unlink()
    lease(0)
    eventually(lambda: running.status[1].restarts)
    assert running.status[1].note == "showed no sign of life for 1 s"
    assert running.status[0].restarts == 0


def test_an_agent_is_not_doubted_while_its_lease_cannot_be_looked_at(
    start: Callable[..., Supervisor], home: Path, lease: Callable[..., None]
) -> None:
    (home / "b2cal.db").rename(home / "away.db")
    (home / "b2cal.db").mkdir()
    agent = replace(python("agent", WAITS), lease_in=f"sqlite:///{home / 'b2cal.db'}", patience_s=0.01)
    running = start(agent, python("site", ENDS_SOON))
    eventually(lambda: running.status[1].restarts >= 2)
    assert running.status[0].restarts == 0


def test_all_are_asked_to_end_at_once_and_who_does_not_is_killed(
    start: Callable[..., Supervisor], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "END_WITHIN_S", 1.0)
    slow = """
import signal, sys, time
def end(*_):
    print("asked", time.monotonic(), flush=True)
    time.sleep(0.4)
    print("ended", time.monotonic(), flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
time.sleep(600)
"""
    running = start(python("one", slow), python("two", slow), python("deaf", IGNORES_SIGTERM))
    logs = [home / "logs" / f"{name}.log" for name in ("one", "two", "deaf")]
    eventually(lambda: all(log.exists() and re.search("^(ready|deaf)$", log.read_text(), re.MULTILINE) for log in logs))
    pids = [status.pid for status in running.status]
    running.stop(Event())
    one, two = (re.findall(r"^(?:asked|ended) ([\d.]+)", log.read_text(), re.MULTILINE) for log in logs[:2])
    assert max(float(one[0]), float(two[0])) < min(float(one[1]), float(two[1]))
    assert not any(psutil.pid_exists(pid) for pid in pids if pid)
    assert {status.phase for status in running.status} == {Phase.STOPPED}


def test_of_several_all_are_ended_although_one_of_them_is_stuck(
    start: Callable[..., Supervisor], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forks = "import os, time\nif not os.fork(): print('stuck', os.getpid(), flush=True)\ntime.sleep(600)"
    running = start(python("first", WAITS), python("second", forks), python("third", WAITS))
    eventually(lambda: all_run(running))
    log = home / "logs" / "second.log"
    stuck = int(eventually(lambda: re.search(r"^stuck (\d+)", log.read_text(), re.MULTILINE)).group(1))
    pids = [status.pid for status in running.status]
    kill = psutil.Process.kill
    with monkeypatch.context() as kernel:
        kernel.setattr(processes, "KILLED_WITHIN_S", 0.5)
        kernel.setattr(psutil.Process, "kill", lambda process: None if process.pid == stuck else kill(process))
        with pytest.raises(CannotEnd, match=f"Process {stuck} of second"):
            running.stop(Event())
    assert not any(psutil.pid_exists(pid) for pid in (pids[0], pids[2]) if pid)
    assert [status["phase"] for status in told(home)["components"]] == ["stopped", "running", "stopped"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_ending_signal_stops_all(
    run_program: Callable[..., subprocess.Popen[str]], tmp_path: Path, number: signal.Signals
) -> None:
    program = run_program(agent=WAITS, scheduler=HAS_FAMILY.replace("subprocess.run", "(lambda *_: 0)"))
    pids = eventually(lambda: running_pids(tmp_path, 2))
    program.send_signal(number)
    assert program.wait(timeout=60) == 130
    assert [family(pid) for pid in pids] == [set(), set()]
    assert {component["phase"] for component in told(tmp_path)["components"]} == {"stopped"}


def test_a_second_interrupt_kills_at_once(run_program: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    program = run_program(deaf=IGNORES_SIGTERM)
    eventually(lambda: running_pids(tmp_path, 1))
    eventually(lambda: "\ndeaf\n" in (tmp_path / "logs" / "deaf.log").read_text())
    program.send_signal(signal.SIGINT)
    eventually(lambda: "asked" in (tmp_path / "logs" / "up.log").read_text())
    before = time.monotonic()
    program.send_signal(signal.SIGINT)
    assert program.wait(timeout=60) == 130
    assert time.monotonic() - before < supervisor.END_WITHIN_S


# --- one at a time ----------------------------------------------------------------------------------------------------


def running_pids(home: Path, number: int) -> list[int] | None:
    """The processes of that many components, once all are there."""
    with suppress(FileNotFoundError):
        pids = [component["pid"] for component in told(home)["components"]]
        return pids if len(pids) == number and all(pids) else None
    return None


def test_a_second_one_in_the_same_home_is_refused_and_disturbs_nothing(
    run_program: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    first = run_program(agent=WAITS)
    pids = eventually(lambda: running_pids(tmp_path, 1))
    second = run_program(agent=WAITS)
    _, said = second.communicate(timeout=60)
    assert second.returncode == 1
    assert f"b2cal is already running in {tmp_path}, as process {first.pid}." in said
    assert running_pids(tmp_path, 1) == pids


def test_after_its_own_kill_the_next_one_ends_what_was_left_and_nothing_else(
    run_program: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    first = run_program(agent=WAITS, scheduler=HAS_FAMILY)
    left = eventually(lambda: running_pids(tmp_path, 2))
    log = tmp_path / "logs" / "scheduler.log"
    job = int(
        eventually(lambda: [line for line in log.read_text().splitlines() if line.startswith("job")])[0].split()[1]
    )
    eventually(lambda: len(family(left[1])) == 5)
    reads = f"mark = open({str(tmp_path / 'run' / 'agent.mark')!r}); {WAITS}"  # as a backup does
    stranger = subprocess.Popen([sys.executable, "-S", "-E", "-c", reads])
    try:
        first.kill()
        first.wait()
        os.kill(left[1], signal.SIGKILL)  # the leader too: its workers and tasks are orphans now
        (tmp_path / "run" / "up.json").write_text("not what it was")
        run_program(agent=WAITS, scheduler=WAITS)
        eventually(lambda: "Ended what" in (tmp_path / "logs" / "up.log").read_text())
        eventually(lambda: (tmp_path / "run" / "up.json").read_text().startswith("{") and running_pids(tmp_path, 2))
        assert [family(pid) for pid in left] == [set(), set()]
        assert psutil.Process(job).status() != psutil.STATUS_ZOMBIE
        assert stranger.poll() is None
    finally:
        os.kill(job, signal.SIGKILL)
        stranger.kill()
        stranger.wait()


def test_a_home_that_cannot_be_written_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotUseHome) as refused, supervising([], tmp_path / "file" / "home", lambda: None):
        pass
    assert str(tmp_path / "file" / "home") in str(refused.value)
    assert "B2CAL_HOME" in refused.value.hint


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_port_in_use_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        site = replace(python("site", WAITS), address=Address("127.0.0.1", port, "site.port"))
        prepared: list[bool] = []
        with pytest.raises(PortInUse) as refused, supervising([site], tmp_path, lambda: prepared.append(True)):
            pass
    assert f"port {port}" in str(refused.value)
    assert f"process {os.getpid()}" in str(refused.value)
    assert "B2CAL_SITE__PORT" in refused.value.hint
    assert not prepared
    assert not (tmp_path / "run" / "up.json").exists()


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_port_that_was_left_a_moment_ago_is_free() -> None:
    """Connections in TIME_WAIT must not delay a restart."""
    with closing(socket.socket()) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with closing(socket.create_connection(("127.0.0.1", port))):
            listener.accept()[0].close()  # closed by the server first: its side waits
    check_ports([replace(python("site", WAITS), address=Address("127.0.0.1", port, "site.port"))])


# --- logs -------------------------------------------------------------------------------------------------------------


def test_every_start_begins_a_new_log_and_some_old_ones_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "site.log"
    for number in range(KEPT_LOGS + 3):
        rotate(log)
        with open(log, "a") as file:
            file.write(f"life {number}")
    kept = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert kept.pop("site.log") == f"life {KEPT_LOGS + 2}"
    assert kept == {f"site.log.{age}": f"life {KEPT_LOGS + 2 - age}" for age in range(1, KEPT_LOGS + 1)}


def test_a_log_that_cannot_be_kept_keeps_nobody_from_starting(start: Callable[..., Supervisor], home: Path) -> None:
    for name in ("site.log", "site.log.4", "site.log.5/in_the_way"):
        (home / "logs" / name).parent.mkdir(exist_ok=True)
        (home / "logs" / name).write_text("an earlier life")
    running = start(python("site", WAITS), python("agent", WAITS))
    eventually(lambda: all_run(running))


def test_what_never_began_can_be_stopped(home: Path) -> None:
    Supervisor([python("site", WAITS)], home).stop(Event())
    assert [component["phase"] for component in told(home)["components"]] == ["stopped"]


def test_a_log_that_grows_too_large_is_rotated_under_the_running_component(
    start: Callable[..., Supervisor], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "LOG_BYTES", 20_000)
    start(python("chatty", "import time\nwhile True: print('x' * 1000, flush=True); time.sleep(0.002)"))
    log = home / "logs" / "chatty.log"
    eventually(lambda: log.with_name("chatty.log.2").exists())
    eventually(lambda: log.read_text().endswith("x\n"))
    assert "\0" not in log.read_text()
