"""Files are opened in a process of its own: whatever they are, b2cal goes on."""

import numpy as np
import pytest
import uproot

from b2cal.data.opening import open_files
from tests.data.catalogues import root_file

pytestmark = pytest.mark.processes

KILLER = """
import os, signal, sys, time
def handle(path):
    if path.endswith("crash.root"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if path.endswith("endless.root"):
        signal.alarm(1)
        while True: pass
    if path.endswith("exit.root"):
        sys.exit(3)
    return {"n_events": 1, "sha256": "x"}
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return root_file(tmp_path_factory.mktemp("whole"), "bhabha_e0026_r00001.root", 5000)


def test_a_file_cut_anywhere_is_found_out(whole, tmp_path):
    content = whole.read_bytes()
    cuts = [*range(0, len(content), max(1, len(content) // 200)), len(content) - 1]
    paths = [tmp_path / f"{cut}.root" for cut in cuts]
    for cut, path in zip(cuts, paths, strict=True):
        path.write_bytes(content[:cut])
    assert all(found.reason for found in open_files(paths))


def test_damaged_bytes_never_end_more_than_the_file(whole, tmp_path):
    content = whole.read_bytes()
    rng = np.random.default_rng(26)
    paths = []
    for number in range(40):
        spoilt = bytearray(content)
        for _ in range(1 << number % 12):
            spoilt[rng.integers(len(content))] = rng.integers(256)
        paths.append(tmp_path / f"{number}.root")
        paths[-1].write_bytes(spoilt)
    found = open_files([*paths, whole])
    assert len(found) == 41
    assert all(bool(one.reason) != bool(one.sha256) for one in found)
    assert any(one.reason for one in found)
    assert found[-1].n_events == 5000


def test_a_tree_of_another_name_is_a_reason(tmp_path):
    with uproot.recreate(tmp_path / "a.root") as file:
        file.mktree("other", {"x": "f8"})
    assert [found.reason for found in open_files([tmp_path / "a.root"])] == ["it has no tree 'events'"]


def test_a_file_that_kills_the_process_or_never_ends_is_the_only_one_lost(whole, tmp_path):
    opener = tmp_path / "opener.py"
    opener.write_text(KILLER)
    names = ["a", "crash", "b", "endless", "exit", "c"]
    paths = [tmp_path / f"{name}.root" for name in names]
    for path in paths:
        path.write_bytes(whole.read_bytes())
    found = open_files(paths, opener=opener)
    assert [one.n_events for one in found] == [1, 0, 1, 0, 0, 1]
    assert found[1].reason == "the process that worked on it was ended by SIGSEGV"
    assert found[3].reason == "it took longer than 30 s"
    assert found[4].reason.startswith("the process that worked on it ended with code 3")


def test_a_file_that_vanishes_is_a_reason(tmp_path):
    assert open_files([tmp_path / "gone.root"])[0].reason == "No such file or directory"
