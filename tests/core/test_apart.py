"""Work on items that nobody vouches for: each gets its answer, whatever another one does to the process."""

import time
from pathlib import Path

import pytest

from b2cal.core.apart import Allowance, CannotWorkApart, work_apart

pytestmark = pytest.mark.processes


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "module.py"
    path.write_text(
        "import os, sys, time\n"
        "def handle(item):\n"
        "    if item == 'sleep': time.sleep(60)\n"
        "    if item == 'nap': time.sleep(1.1)\n"
        "    if item == 'spin':\n"
        "        while True: pass\n"
        "    if item == 'eat': return len(bytearray(10**10))\n"
        "    if item == 'die': os.kill(os.getpid(), 9)\n"
        "    if item == 'exit': sys.exit('gone')\n"
        "    if item == 'raise': raise ValueError('no such thing\\nand more')\n"
        "    if item == 'print': print('noise on stdout')\n"
        "    if item == 'write': open(__file__ + '.big', 'wb').write(bytes(10**6))\n"
        "    if item == 'environment': return sorted(os.environ)\n"
        "    return item\n"
    )
    return path


def test_whatever_an_item_does_to_the_process_the_others_are_answered(module: Path) -> None:
    items = [1, "sleep", {"a": 2}, "die", "eat", "exit", "raise", "write", "print", 3]
    answers = work_apart(module, items, Allowance(seconds=1, memory_bytes=2 << 30, file_bytes=1000))
    assert [answer.value for answer in answers] == [1, None, {"a": 2}, None, None, None, None, None, "print", 3]
    assert [answer.failure for answer in answers if answer.failure] == [
        "it took longer than 1 s",
        "the process that worked on it was ended by SIGKILL",
        "it needs more than 2048 MiB of memory",
        "the process that worked on it ended with code 1: gone",
        "ValueError: no such thing",
        "OSError: [Errno 27] File too large",
    ]


def test_an_endless_loop_ends_with_its_allowance(module: Path) -> None:
    started = time.monotonic()
    (answer,) = work_apart(module, ["spin"], Allowance(seconds=1))
    assert answer.failure == "it took longer than 1 s"
    assert time.monotonic() - started < 30


def test_the_process_sees_no_secrets_of_its_parent(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("B2CAL_DATABASE_URL", "mysql://b2cal:secret@db/b2cal")
    (answer,) = work_apart(module, ["environment"], Allowance())
    assert "PATH" in answer.value
    assert not [name for name in answer.value if name.startswith("B2CAL")]


def test_a_module_that_cannot_be_loaded_is_an_error_and_no_item_is_blamed(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("import nothing_of_this_name\n")
    with pytest.raises(CannotWorkApart, match="No module named 'nothing_of_this_name'") as refused:
        work_apart(broken, [1, 2], Allowance())
    assert "Install b2cal again" in refused.value.hint


def test_a_large_item_may_take_longer(module: Path) -> None:
    (answer,) = work_apart(module, ["nap"], Allowance(seconds=1), more_seconds=[30])
    assert answer.value == "nap"


def test_no_item_needs_no_process(tmp_path: Path) -> None:
    assert work_apart(tmp_path / "missing.py", [], Allowance()) == []
