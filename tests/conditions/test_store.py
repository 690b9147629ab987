"""The payload store: two writers, a kill in the middle, a full disk."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from b2cal.conditions import PayloadChanged, PayloadStore, StoredFile
from b2cal.core.checksums import sha256_bytes
from b2cal.core.files import CannotWrite

IDENTITY = "a" * 64


@pytest.fixture
def store(tmp_path: Path) -> PayloadStore:
    return PayloadStore(tmp_path / "payloads")


def a_file(folder: Path, content: bytes = b"constants", name: str = "made.root") -> tuple[Path, str]:
    path = folder / name
    path.write_bytes(content)
    return path, sha256_bytes(content)


def files(store: PayloadStore) -> list[str]:
    return sorted(path.name for path in store.folder.rglob("*")) if store.folder.exists() else []


def test_a_stored_file_is_found_by_its_identity(store: PayloadStore, tmp_path: Path) -> None:
    source, checksum = a_file(tmp_path)
    assert not store.has(IDENTITY)
    assert store.put(source, IDENTITY, checksum) == StoredFile(store.path(IDENTITY), checksum, 9)
    assert store.has(IDENTITY)
    assert store.path(IDENTITY).read_bytes() == b"constants"


def test_of_two_files_of_one_identity_the_first_stays_and_its_checksum_is_the_one_to_remember(
    store: PayloadStore, tmp_path: Path
) -> None:
    source, checksum = a_file(tmp_path)
    store.put(source, IDENTITY, checksum)
    other, other_checksum = a_file(tmp_path, b"the same constants, written later", "again.root")
    assert store.put(other, IDENTITY, other_checksum).checksum == checksum
    assert store.path(IDENTITY).read_bytes() == b"constants"


def test_a_file_that_changed_after_its_check_is_not_stored(store: PayloadStore, tmp_path: Path) -> None:
    source, checksum = a_file(tmp_path)
    source.write_bytes(b"other constants")
    with pytest.raises(PayloadChanged, match="has changed since it was checked"):
        store.put(source, IDENTITY, checksum)
    assert files(store) == []


def test_a_file_that_is_gone_is_named(store: PayloadStore, tmp_path: Path) -> None:
    with pytest.raises(PayloadChanged, match=r"gone\.root cannot be read any more: No such file"):
        store.put(tmp_path / "gone.root", IDENTITY, "0" * 64)


@pytest.mark.parametrize("identity", ["", "../../etc/passwd", "a" * 63, "A" * 64, "a" * 64 + "\n"])
def test_only_an_identity_becomes_a_path(store: PayloadStore, identity: str) -> None:
    with pytest.raises(ValueError, match="no identity"):
        store.path(identity)


def test_writers_at_the_same_time_leave_one_whole_file(store: PayloadStore, tmp_path: Path) -> None:
    sources = [a_file(tmp_path, bytes([n]) * 5_000_000, f"{n}.root") for n in range(4)]
    found: list[StoredFile] = []
    start = threading.Barrier(len(sources))

    def write(source: Path, checksum: str) -> None:
        start.wait()
        found.append(store.put(source, IDENTITY, checksum))

    threads = [threading.Thread(target=write, args=source) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    content = store.path(IDENTITY).read_bytes()
    assert len(found) == 4
    assert content in [bytes([n]) * 5_000_000 for n in range(4)]
    assert files(store) == [f"{IDENTITY}.root"]


def test_a_writer_killed_in_the_middle_leaves_no_payload_and_the_next_one_succeeds(
    store: PayloadStore, tmp_path: Path
) -> None:
    # The source is a pipe that gives half of the file and then nothing: the writer is in the middle until it is killed.
    content = b"x" * 300_000
    pipe = tmp_path / "slow.root"
    os.mkfifo(pipe)
    program = (
        "import sys; from pathlib import Path; from b2cal.conditions import store\n"
        "store._require = lambda path, checksum: None\n"
        "store.shutil.copyfile = lambda a, b: [open(b, 'ab').write(open(a, 'rb').read(1000)), open(a, 'rb').read()]\n"
        f"store.PayloadStore(Path({str(store.folder)!r})).put(Path({str(pipe)!r}), {IDENTITY!r}, '')\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", program])
    with open(pipe, "wb", buffering=0) as feed:
        feed.write(content[:1000])
        while not any(name.endswith(".tmp") for name in files(store)):
            assert writer.poll() is None
            time.sleep(0.01)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    assert not store.has(IDENTITY)
    source, checksum = a_file(tmp_path, content)
    store.put(source, IDENTITY, checksum)
    assert store.path(IDENTITY).read_bytes() == content


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"mounting a file system of 2 MiB needs root: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_said_clearly_and_nothing_half_is_left(small_disk: Path, tmp_path: Path) -> None:
    store = PayloadStore(small_disk / "payloads")
    small, small_checksum = a_file(tmp_path, b"s" * 1000, "small.root")
    store.put(small, "b" * 64, small_checksum)
    large, checksum = a_file(tmp_path, b"l" * 3_000_000)
    with pytest.raises(CannotWrite, match="No space left on device") as caught:
        store.put(large, IDENTITY, checksum)
    assert "Make room" in caught.value.hint
    assert files(store) == [f"{'b' * 64}.root"]


def test_a_folder_that_cannot_be_made_is_said_clearly(tmp_path: Path) -> None:
    (tmp_path / "payloads").write_text("a file stands in the way")
    source, checksum = a_file(tmp_path)
    with pytest.raises(CannotWrite, match="cannot be written: File exists"):
        PayloadStore(tmp_path / "payloads").put(source, IDENTITY, checksum)
