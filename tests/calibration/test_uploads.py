"""Output behind XRootD doors: real servers, real jobs."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest
import uproot

from b2cal.core.iov import ExpRun
from tests.calibration.node import Node
from tests.services.xrootd import Door, adler32_of, two_running

pytestmark = pytest.mark.service

RUN = ExpRun(26, 1)
NAME = "cosmic_e0026_r00001.root"
HASTY = {
    "XRD_CONNECTIONWINDOW": "1",
    "XRD_CONNECTIONRETRY": "3",
    "XRD_STREAMERRORWINDOW": "0",
    "XRD_TIMEOUTRESOLUTION": "1",
}
DOUBLE = """
from b2cal.calibration import CalibrationSettings, Production

settings = CalibrationSettings("Double", "calorimeter", "", ["raw"], ["cosmic"])


class Double(Production):
    branches = ["hits"]

    def produce(self, events, conditions, config):
        return {"hits": 2 * events["hits"]}
"""
BRING = """
import sys
from pathlib import Path
from b2cal.calibration.doors import Doors
from b2cal.calibration.uploads import Destination
print(Destination.open(sys.argv[1], "5/produce-0/3", Doors()).bring(Path(sys.argv[2])))
"""


@pytest.fixture
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Door, Door]]:
    """Two servers of one storage, with a folder for output."""
    with two_running(tmp_path_factory.mktemp("doors")) as servers:
        (servers[0].files / "cdst").mkdir()
        yield servers


@pytest.fixture
def site(node: Node) -> Node:
    """A worker node with a production and little patience."""
    node.script(DOUBLE)
    node.environment |= HASTY
    return node


def produce(site: Node, doors: tuple[Door, Door]):
    raw = site.raw(RUN, {"hits": np.arange(1000, dtype="i4")})
    output = [doors[0].url("cdst"), "5/produce-0/3"]
    return site.run("produce", [raw], doors=[door.url() for door in doors], output=output)


def kept(door: Door) -> list[str]:
    """The files of the output folder."""
    return [path.name for path in (door.files / "cdst").rglob("*") if path.is_file()]


@pytest.mark.parametrize("first_is_down", [False, True])
def test_produced_files_lie_whole_behind_the_door_and_only_there(site, doors, first_is_down):
    if first_is_down:
        doors[0].stop()
    ended = produce(site, doors)
    assert ended.exit_code == 0, ended.stderr
    (file,) = ended.json("result.json")["files"]
    assert file["file"].startswith(doors[0].url("cdst/5/produce-0/3/"))
    assert file["file"].endswith(f"/{NAME}")
    on_disk = doors[0].files / file["file"].removeprefix(doors[0].url())
    assert file["size_bytes"] == on_disk.stat().st_size
    assert file["checksum"] == adler32_of(doors[1].url(file["file"].removeprefix(doors[0].url())))
    with uproot.open(on_disk) as root:
        assert root["events"]["hits"].array(library="np").tolist() == list(range(0, 2000, 2))
    assert kept(doors[0]) == [NAME]
    assert list((ended.outputs / "files").iterdir()) == []


def test_jobs_that_run_twice_or_again_replace_nothing(site, doors):
    files = [produce(site, doors).json("result.json")["files"][0] for _ in range(2)]
    assert files[0]["file"] != files[1]["file"]
    assert [adler32_of(file["file"]) for file in files] == [file["checksum"] for file in files]


@pytest.mark.parametrize("trouble", ["not writable", "not there", "down"])
def test_what_cannot_be_brought_is_said_and_nothing_is_left(site, doors, trouble):
    folder = doors[0].files / "cdst"
    if trouble == "not writable":
        folder.chmod(0o555)
    elif trouble == "not there":
        folder.rmdir()
    else:
        for door in doors:
            door.stop()
    ended = produce(site, doors)
    assert ended.exit_code == os.EX_CANTCREAT, ended.stderr
    assert f"{doors[0].url('cdst')}" in ended.stderr
    assert "cannot be written: " in ended.stderr
    assert kept(doors[0]) == []


def test_a_half_that_stayed_when_the_server_went_away_is_removed_by_the_next_try(site, doors, tmp_path):
    door, large = doors[0], tmp_path / NAME
    with large.open("wb") as file:
        file.truncate(1 << 28)
    command = [sys.executable, "-c", BRING, door.url("cdst"), str(large)]
    environment = os.environ | site.environment | {"PYTHONPATH": str(site.shipped)}
    bringing = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    while not kept(door):
        assert bringing.poll() is None
        time.sleep(0.002)
    door.stop()
    assert "CannotWrite" in bringing.communicate()[1]
    assert kept(door) == [f".{NAME}.part"]

    door.start()
    assert subprocess.run(command, env=environment, check=False).returncode == 0
    assert kept(door) == [NAME]
