"""How LSF's commands are called: by ssh, with as much in one call as a call can hold."""

import re
from pathlib import Path

import pytest

from b2cal.batch import BatchError
from b2cal.batch.lsf_commands import LsfCommands
from b2cal.settings import LsfSettings


@pytest.fixture
def called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the words of each call of bkill stand; ssh leads to this machine."""
    scripts = {"ssh": 'shift 3\nexec sh -c "$1"', "bkill": f'echo "$@" >>{tmp_path}/called'}
    for name, script in scripts.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return tmp_path / "called"


def test_more_jobs_of_an_array_than_a_call_can_name_are_killed_in_several(called: Path) -> None:
    killed = [*range(1, 60_000, 2), 60_000, 60_001]
    lsf = LsfCommands(LsfSettings(backend="lsf", ssh="login", path=str(called.parent)))
    lsf.kill([f"12[{index}]" for index in killed] + ["13[1]", "13[2]", "13[3]"])
    calls = called.read_text()
    assert calls.endswith(" 13[1-3]\n")
    words = re.findall(r"12\[(.*?)\]", calls)
    assert 1 < len(words) < 10
    assert ",".join(words) == ",".join(map(str, killed[:-3])) + ",59999-60001"


@pytest.mark.parametrize(
    ("ssh", "where"), [("login", "on login, where it is called by ssh, did not"), ("", "on this machine did not")]
)
def test_a_command_that_does_not_answer_is_told_by_its_name_its_machine_and_how_long_it_was_waited_for(
    called: Path, ssh: str, where: str
) -> None:
    (called.parent / "bkill").write_text("#!/bin/sh\nexec sleep 60\n")
    lsf = LsfCommands(LsfSettings(backend="lsf", ssh=ssh, path=str(called.parent), patience_s=0.3))
    with pytest.raises(BatchError) as refused:
        lsf.kill(["12[1]"])
    assert str(refused.value) == f"bkill {where} answer within 0.3 s."
    assert "`patience_s`" in refused.value.hint
    assert ("`ssh -o BatchMode=yes login true`" in refused.value.hint) == bool(ssh)


def test_a_command_that_is_not_there_is_told_by_its_path(called: Path) -> None:
    with pytest.raises(BatchError, match="bkill cannot be called: No such file or directory, /nowhere/bkill"):
        LsfCommands(LsfSettings(backend="lsf", path="/nowhere")).kill(["12[1]"])
