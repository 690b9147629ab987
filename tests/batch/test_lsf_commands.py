"""How LSF's commands are called: by ssh, with as much in one call as a call can hold."""

import re
from pathlib import Path

import pytest

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
