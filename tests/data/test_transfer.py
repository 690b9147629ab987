"""Copies to and from storage behind doors: a real server."""

import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from b2cal.calibration.doors import DoorTrouble
from b2cal.core.checksums import sha256_file
from b2cal.data import CannotCopy, Original, copy_file
from tests.services.xrootd import Door, running

pytestmark = pytest.mark.service

CONTENT = bytes(range(256)) * 400


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with running(tmp_path_factory.mktemp("tape")) as door:
        yield door


@pytest.fixture
def on_disk(tmp_path: Path) -> Original:
    path = tmp_path / "cdst.root"
    path.write_bytes(CONTENT)
    return Original(str(path), len(CONTENT), sha256_file(path))


@pytest.fixture
def behind_door(door: Door) -> Original:
    (door.files / "cdst.root").write_bytes(CONTENT)
    return Original(door.url("cdst.root"), len(CONTENT), f"adler32:{zlib.adler32(CONTENT):08x}")


@pytest.mark.parametrize("source", ["on_disk", "behind_door"])
@pytest.mark.parametrize("target", ["disk", "door"])
def test_a_copy_is_whole_and_what_is_there_is_found(
    request: pytest.FixtureRequest, door: Door, tmp_path: Path, source: str, target: str
) -> None:
    original: Original = request.getfixturevalue(source)
    below = f"tape/{source}/7/copy.root"
    folder = tmp_path if target == "disk" else door.files
    place = str(tmp_path / below) if target == "disk" else door.url(below)
    (folder / below).parent.mkdir(parents=True)
    (folder / below).parent.chmod(0o777)
    half = (folder / below).with_name(".copy.root.part")
    half.write_bytes(b"of a try that was killed")
    half.chmod(0o666)
    copy_file(original, place)
    assert (folder / below).read_bytes() == CONTENT
    assert not half.exists()
    before = (folder / below).stat().st_mtime_ns
    copy_file(original, place)
    assert (folder / below).stat().st_mtime_ns == before


@pytest.mark.parametrize("source", ["on_disk", "behind_door"])
def test_an_original_that_has_changed_is_not_copied(
    request: pytest.FixtureRequest, door: Door, tmp_path: Path, source: str
) -> None:
    original: Original = request.getfixturevalue(source)
    other = Original(original.place, original.size_bytes, original.checksum[:-1] + "g")
    with pytest.raises(CannotCopy, match="is not as it was registered"):
        copy_file(other, str(tmp_path / "new" / "copy.root"))
    with pytest.raises((CannotCopy, DoorTrouble), match=r"is not as it was registered|arrived of"):
        copy_file(other, door.url(f"changed/{source}/copy.root"))
    assert not (door.files / "changed" / source / "copy.root").exists()
    assert not list((tmp_path / "new").iterdir())


def test_another_file_behind_a_door_is_not_replaced(door: Door, on_disk: Original) -> None:
    there = door.files / "there.root"
    there.write_bytes(b"another")
    with pytest.raises(DoorTrouble, match="arrived of"):
        copy_file(on_disk, door.url("there.root"))
    assert there.read_bytes() == b"another"
