"""Input behind XRootD doors: real servers, real jobs."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from b2cal.calibration.collected import read, total
from b2cal.calibration.doors import BehindDoors, Doors
from b2cal.calibration.events import InputFile
from b2cal.calibration.inputs import place
from b2cal.calibration.uploads import adler32
from b2cal.core.checksums import sha256_file
from b2cal.core.iov import ExpRun
from tests.calibration.node import Ended, Node, write_raw
from tests.services.credentials import Authority, Issuer, private
from tests.services.xrootd import Door, adler32_of, running, two_running, wants_tokens

pytestmark = pytest.mark.service

RUN = ExpRun(26, 1)
WATCHFUL = {
    "XRD_CONNECTIONWINDOW": "2",
    "XRD_CONNECTIONRETRY": "20",
    "XRD_STREAMERRORWINDOW": "0",
    "XRD_TIMEOUTRESOLUTION": "1",
}
SUM = """
from b2cal.calibration import Calibration, CalibrationSettings

settings = CalibrationSettings("Sum", "calorimeter", "", ["raw"], ["cosmic"])


class Sum(Calibration):
    branches = ["hits"]

    def collect(self, events, conditions, config):
        return {"sum": events["hits"].sum(), "noise": events.rng.normal()}

    def fit(self, collected, conditions, config, iov):
        raise NotImplementedError
"""


FULL = """
import resource, sys
from b2cal.calibration.stage import main
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
sys.exit(main())
"""


@pytest.fixture
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Door, Door]]:
    """Two servers of one storage."""
    with two_running(tmp_path_factory.mktemp("doors")) as servers:
        (servers[0].files / "raw").mkdir()
        yield servers


@pytest.fixture
def on_disk(doors: tuple[Door, Door]) -> InputFile:
    """A file of that storage as its servers see it."""
    return write_raw(doors[0].files / "raw", RUN, {"hits": np.arange(1000, dtype="i4")})


@pytest.fixture
def site(node: Node) -> Node:
    """A worker node with a script and the patience of these tests."""
    node.script(SUM)
    node.environment |= WATCHFUL
    return node


def through(door: Door, file: InputFile, checksum: str = "") -> InputFile:
    """The same file, as the catalogue names it."""
    url = door.url(f"raw/{file.path.name}")
    return replace(file, path=BehindDoors((url,)), sha256=checksum or adler32_of(url))


def addresses(doors: tuple[Door, Door]) -> list[str]:
    return [door.url() for door in doors]


def sums(ended: Ended) -> dict[str, float]:
    assert ended.exit_code == 0, ended.stderr
    return {name: array.tolist() for name, array in total(read([Path(ended.collected)])).items()}


def test_what_is_collected_behind_a_door_is_what_is_collected_from_the_disk(site, doors, on_disk):
    there = through(doors[0], on_disk)
    assert there.sha256.startswith("adler32:")
    assert sums(site.run("collect", [there])) == sums(site.run("collect", [on_disk]))


@pytest.mark.parametrize("trouble", ["down", "hanging"])
def test_the_second_door_is_taken_when_the_first_does_not_answer(site, doors, on_disk, trouble):
    first, _ = doors
    there = through(first, on_disk)
    began = time.monotonic()
    if trouble == "down":
        first.stop()
        sums(site.run("collect", [there], doors=addresses(doors)))
    else:
        with first.hanging():
            sums(site.run("collect", [there], doors=addresses(doors)))
    assert time.monotonic() - began < 20  # 38 s is the patience with the first


def started(site: Node, file: InputFile, doors: list[str], log: Path) -> subprocess.Popen[bytes]:
    """A job on a file that goes on while the test does; its client writes a log."""
    return begun(site, site.job("collect", [file], doors=doors), log)


def begun(site: Node, folder: Path, log: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "b2cal.calibration.stage"],
        cwd=folder,
        env=os.environ
        | site.environment
        | {"XRD_LOGLEVEL": "Error", "XRD_LOGFILE": str(log), "PYTHONPATH": str(site.shipped)},
    )


def test_a_server_that_comes_back_within_the_patience_is_noticed_at_once(site, doors, on_disk, tmp_path):
    there, log = through(doors[0], on_disk), tmp_path / "client.log"
    doors[0].stop()
    job = started(site, there, addresses(doors)[:1], log)
    while not (log.exists() and "connection refused" in log.read_text()):
        assert job.poll() is None
        time.sleep(0.05)
    doors[0].start()
    assert job.wait(timeout=15) == 0


def test_when_all_doors_are_shut_the_one_that_opens_first_is_taken(site, doors, on_disk, tmp_path):
    there = through(doors[0], on_disk)
    for door in doors:
        door.stop()
    with socket.create_server(("127.0.0.1", doors[1].port)) as asked:
        job = started(site, there, addresses(doors), tmp_path / "client.log")
        asked.accept()[0].close()  # the first has been asked before
    doors[0].start()
    assert job.wait(timeout=15) == 0


def enlarged(file: InputFile, n_bytes: int) -> InputFile:
    """The same events in a file that takes long to fetch, or can be counted: nothing comes behind them."""
    os.truncate(file.path, n_bytes)
    return replace(file, sha256=sha256_file(file.path))


def read_by(door: Door) -> int:
    """How many bytes a server has read so far."""
    told = Path(f"/proc/{(door.folder / 'pid').read_text().strip()}/io").read_text()
    return int(dict(line.split(": ") for line in told.splitlines())["rchar"])


def test_a_file_that_two_data_names_read_is_fetched_once(site, doors, on_disk):
    large = enlarged(on_disk, 32 << 20)
    there = through(doors[0], large)
    before = read_by(doors[0])
    twice = site.run("collect", [there, replace(there, data_name="beam")])
    assert 32 << 20 <= read_by(doors[0]) - before < 40 << 20
    assert sums(twice) == sums(site.run("collect", [large, replace(large, data_name="beam")]))
    assert not list((twice.outputs.parent / "fetched").iterdir())


def test_a_file_behind_a_door_whose_sha256_was_frozen_is_compared_with_that(site, doors, on_disk):
    sums(site.run("collect", [through(doors[0], on_disk, on_disk.sha256)]))
    ended = site.run("collect", [through(doors[0], on_disk, "0" * 64)])
    assert ended.exit_code == os.EX_IOERR
    assert f"its SHA-256 is {on_disk.sha256[:12]}" in ended.stderr


def test_when_there_is_no_room_for_a_file_that_is_not_the_fault_of_its_door(site, doors, on_disk):
    folder = site.job("collect", [through(doors[0], enlarged(on_disk, 32 << 20))])
    ended = site.start(folder, ["-c", FULL])
    assert ended.exit_code == os.EX_CANTCREAT
    assert f"Cannot write fetched/{on_disk.path.name}: File too large." in ended.stderr


def test_a_job_waits_for_its_turn_before_it_asks_a_server(site, doors, on_disk, tmp_path):
    there = through(doors[0], on_disk)
    sums(site.run("collect", [on_disk], opens_after_s=100))  # not behind a door
    doors[0].stop()
    with socket.create_server(("127.0.0.1", doors[0].port)) as asked:
        folder, began = site.job("collect", [there], doors=addresses(doors), opens_after_s=2), time.monotonic()
        job = begun(site, folder, tmp_path / "client.log")
        asked.accept()[0].close()
        assert time.monotonic() - began >= 2
    assert job.wait(timeout=15) == 0


def test_a_job_waits_for_its_turn_once():
    doors, file = Doors(opens_after_s=0.5), BehindDoors(("root://a//x",))
    began = time.monotonic()
    doors.open_way(file)
    opened = time.monotonic()
    doors.open_way(file)
    assert opened - began >= 0.5 > time.monotonic() - opened


def test_a_file_that_changed_behind_its_door_is_refused(site, doors, on_disk):
    there = through(doors[0], on_disk)
    write_raw(doors[0].files / "raw", RUN, {"hits": np.ones(1000, dtype="i4")})
    ended = site.run("collect", [there])
    assert ended.exit_code == os.EX_IOERR
    assert f"The input {there.path} cannot be read: its adler32 is" in ended.stderr
    assert f"but {there.sha256.removeprefix('adler32:')} was frozen for this attempt" in ended.stderr


@pytest.mark.parametrize("n_doors", [0, 1, 2])
def test_a_file_that_is_behind_no_door_is_refused_at_once_in_the_words_of_the_servers(site, doors, on_disk, n_doors):
    there = through(doors[0], on_disk)
    on_disk.path.unlink()
    ended = site.run("collect", [there], doors=addresses(doors)[:n_doors])
    assert ended.exit_code == os.EX_IOERR
    assert f"The input {there.path} cannot be read: " in ended.stderr
    assert ended.stderr.count("no such file or directory") == max(n_doors, 1)


def test_a_file_that_is_damaged_behind_its_door_is_refused(site, doors, on_disk):
    content = on_disk.path.read_bytes()
    on_disk.path.write_bytes(content[: len(content) // 2])
    ended = site.run("collect", [through(doors[0], on_disk)])
    assert ended.exit_code == os.EX_IOERR, ended.stderr
    assert "cannot be read" in ended.stderr


@pytest.mark.parametrize(
    ("url", "ways"),
    [
        ("root://a//store/raw/x.root", ["root://a//store/raw/x.root", "root://b:1095//raw/x.root"]),
        ("root://b:1095//raw/x.root", ["root://a//store/raw/x.root", "root://b:1095//raw/x.root"]),
        ("root://a//storehouse/x.root", ["root://a//storehouse/x.root"]),
        ("root://c//x.root", ["root://c//x.root"]),
    ],
)
def test_a_file_can_be_had_through_every_door_of_its_storage(url, ways):
    assert place(url, ["root://a//store", "root://b:1095//"]) == BehindDoors(tuple(ways))


def test_a_path_is_no_door(tmp_path: Path) -> None:
    assert place(str(tmp_path), ["root://a//"]) == tmp_path
    assert json.dumps(str(place("root://a//x", []))) == '"root://a//x"'


def test_a_job_reads_behind_a_door_by_its_token_and_is_refused_with_one_of_another_issuer(node, tmp_path):
    folder, issuer = tmp_path / "door", Issuer()
    folder.mkdir()
    extra = wants_tokens(folder, issuer, Authority())
    node.script(SUM)
    file = node.raw(RUN, {"hits": np.arange(1000, dtype="i4")})
    on_disk, ended = Path(str(file.path)), {}
    node.environment |= WATCHFUL | {"XRD_CONNECTIONRETRY": "1", "X509_CERT_DIR": str(folder / "certificates")}
    with running(folder, extra) as door:
        shutil.copy(on_disk, door.files)
        there = replace(file, path=BehindDoors((door.url(on_disk.name),)), sha256=adler32(on_disk))
        for name, it in (("right", issuer), ("foreign", Issuer())):
            node.environment["BEARER_TOKEN_FILE"] = str(private(tmp_path / name, it.token("storage.read:/")))
            ended[name] = node.run("collect", [there])
    assert sums(ended["right"]) == sums(node.run("collect", [file]))
    assert ended["foreign"].exit_code == os.EX_IOERR
    assert "Auth failed" in ended["foreign"].stderr
