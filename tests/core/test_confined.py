"""Running code that nobody has looked at."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from b2cal.core.confined import Ended, Limits
from b2cal.core.confined import run as run_confined
from b2cal.core.processes import ProcessIdentity
from tests.waiting import wait_for

pytestmark = pytest.mark.processes

ENVIRONMENT = {"PATH": os.defpath, "GREETING": "hello"}


def run(tmp_path, code, time_limit_s=30.0, output_limit=1_000_000, given=b"", **limits) -> Ended:
    command = [sys.executable, "-I", "-X", "faulthandler", "-c", code]
    limits = Limits(time_limit_s, output_bytes=output_limit, **limits)
    return run_confined(command, tmp_path, ENVIRONMENT, limits, given)


def test_output_errors_and_exit_code_come_back(tmp_path):
    ended = run(tmp_path, "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert (ended.output, ended.errors, ended.code) == (b"out\n", "err\n", 3)
    assert ended.in_time
    assert not ended.too_much


def test_it_runs_in_its_folder_with_its_environment_and_without_input(tmp_path):
    ended = run(tmp_path, "import os, sys; print(os.getcwd(), sorted(os.environ), sys.stdin.read())")
    assert ended.output.decode().split("[")[0].strip() == str(tmp_path)
    assert "GREETING" in ended.output.decode()
    assert "HOME" not in ended.output.decode()


def test_what_takes_too_long_says_where_it_was_and_is_ended(tmp_path):
    ended = run(tmp_path, "import time\nwhile True: time.sleep(0.01)", time_limit_s=2.0)
    assert not ended.in_time
    assert 'File "<string>", line 2' in ended.errors
    assert ended.code == -signal.SIGABRT


def test_what_does_not_listen_to_the_first_signal_is_ended_too(tmp_path):
    code = "import signal, time\nsignal.signal(signal.SIGABRT, signal.SIG_IGN)\nwhile True: time.sleep(0.01)"
    ended = run(tmp_path, code, time_limit_s=2.0)
    assert ended.code == -signal.SIGKILL


def test_a_flood_of_output_is_cut_off(tmp_path):
    ended = run(tmp_path, "while True: print('x' * 100_000)", output_limit=1_000_000)
    assert ended.too_much
    assert len(ended.output) < 2_000_000


def test_of_a_flood_of_errors_the_end_is_kept(tmp_path):
    ended = run(tmp_path, "import sys; sys.stderr.write('x' * 5_000_000 + 'the end')")
    assert ended.errors.endswith("xthe end")
    assert len(ended.errors) < 100_000


def test_what_it_started_ends_with_it(tmp_path):
    code = "import subprocess; print(subprocess.Popen(['sleep', '1000']).pid)"
    pid = int(run(tmp_path, code).output)
    wait_for(lambda: ProcessIdentity.of(pid) is None)


def test_what_left_its_group_cannot_hold_the_look_up(tmp_path):
    code = "import subprocess; print(subprocess.Popen(['sleep', '1000'], start_new_session=True).pid)"
    started = time.monotonic()
    pid = int(run(tmp_path, code, time_limit_s=60).output)
    assert time.monotonic() - started < 50
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def test_what_is_given_is_its_input(tmp_path):
    assert run(tmp_path, "import sys; print(sys.stdin.read())", given=b"questions").output == b"questions\n"


def test_it_inherits_no_open_file(tmp_path):
    with (tmp_path / "secret").open("w") as secret:
        os.set_inheritable(secret.fileno(), True)
        ended = run(tmp_path, "import os; print(len(os.listdir('/proc/self/fd')))")
    assert int(ended.output) == 4  # the three of everybody, and the one that lists


def test_a_file_does_not_grow_beyond_its_limit(tmp_path):
    run(tmp_path, "open('big', 'wb', 0).write(bytes(10_000))", file_bytes=1000)
    assert (tmp_path / "big").stat().st_size == 1000


def test_it_ends_with_its_parent(tmp_path):
    code = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    program = f"""
from pathlib import Path
from b2cal.core.confined import Limits, run
run({[sys.executable, "-c", code]!r}, Path("."), {{}}, Limits(600))
"""
    with subprocess.Popen([sys.executable, "-c", program]) as parent:
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            assert parent.poll() is None
            time.sleep(0.01)
        parent.kill()
    pid = int((tmp_path / "pid").read_text())
    wait_for(lambda: ProcessIdentity.of(pid) is None)


def test_it_gets_no_more_memory_than_allowed(tmp_path):
    ended = run(tmp_path, "b = bytearray(8 << 30)")
    assert "MemoryError" in ended.errors


@pytest.mark.parametrize("command", [["/no/such/program"], ["/"]])
def test_a_program_that_cannot_be_started_is_an_error_of_the_system(tmp_path, command):
    with pytest.raises(OSError, match=r"No such|denied"):
        run_confined(command, tmp_path, {}, Limits(1))
