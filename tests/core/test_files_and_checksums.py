"""Files are whole or not there; equal things have equal checksums."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b2cal.core import files
from b2cal.core.checksums import canonical_json, digest, sha256_bytes, sha256_file
from b2cal.core.files import CannotWrite, flush_file_system, put_folder, replacing, scratch_folder, write_atomically
from b2cal.core.ids import new_token

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


@given(st.dictionaries(st.text(), values))
def test_the_order_of_keys_does_not_change_a_digest(value):
    assert digest(dict(reversed(value.items()))) == digest(value)


@given(values)
def test_the_canonical_text_loses_nothing_so_different_values_have_different_digests(value):
    assert json.loads(canonical_json(value)) == value
    assert digest(value) == sha256_bytes(canonical_json(value).encode())


@pytest.mark.parametrize("value", [float("nan"), [float("inf")]])
def test_what_json_cannot_say_has_no_digest(value):
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json(value)


def test_a_file_and_its_bytes_have_the_same_checksum(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1
    assert sha256_file(tmp_path / "file") == sha256_bytes(b"abc") == known


@pytest.mark.parametrize("content", ["text with µ", b"bytes\0"])
def test_writing_replaces_a_file_and_leaves_nothing_else(tmp_path, content):
    path = tmp_path / "file"
    path.write_text("before")
    write_atomically(path, content)
    assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_while_writing_leaves_the_earlier_file_whole(tmp_path):
    path = tmp_path / "file"
    path.write_text("before")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("half" * (1 // 0))
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_named_together_with_what_to_do(tmp_path):
    with pytest.raises(CannotWrite, match="No such file or directory") as refused:
        write_atomically(tmp_path / "missing" / "file", "text")
    assert str(tmp_path / "missing") in refused.value.hint


def test_a_full_disk_leaves_the_earlier_file_whole(tmp_path):
    """A limit on the size of files makes write(2) fail in the middle, as a full disk does."""
    path = tmp_path / "file"
    path.write_text("before")
    program = (
        "import resource, signal, sys\n"
        "from b2cal.core.files import CannotWrite, write_atomically\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n    write_atomically(sys.argv[1], 'x' * 5000)\n"
        "except CannotWrite as error:\n    print(error)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    assert f"Cannot write {path}: File too large." in ended.stdout
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_gets_its_name_only_when_all_of_it_is_on_the_disk(tmp_path, monkeypatch):
    half, target = tmp_path / "half", tmp_path / "target"
    (half / "inner").mkdir(parents=True)
    for name in ("one", "inner/two"):
        (half / name).write_text(name)
    flushed: list[tuple[str, bool]] = []
    fsync = os.fsync

    def noted(descriptor):
        flushed.append((str(Path(f"/proc/self/fd/{descriptor}").readlink()), target.exists()))
        fsync(descriptor)

    def noted_whole(folder):
        flushed.append((f"all of {folder}", target.exists()))
        flush_file_system(folder)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(files, "flush_file_system", noted_whole)
    put_folder(half, target)
    assert flushed == [(f"all of {half}", False), (str(tmp_path), True)]
    assert (target / "inner/two").read_text() == "inner/two"


def test_a_folder_may_hold_links_that_lead_where_it_will_be(tmp_path):
    half, target = tmp_path / "half", tmp_path / "target"
    half.mkdir()
    (half / "file").write_text("there")
    (half / "link").symlink_to(target / "file")
    put_folder(half, target)
    assert (target / "link").read_text() == "there"


def test_a_folder_never_takes_the_place_of_another(tmp_path):
    half, target = tmp_path / "half", tmp_path / "target"
    for folder in (half, target):
        folder.mkdir()
        (folder / "file").write_text(folder.name)
    with pytest.raises(OSError, match="not empty"):
        put_folder(half, target)
    assert (target / "file").read_text() == "target"


def test_tokens_are_never_the_same():
    tokens = {new_token() for _ in range(1000)}
    assert len(tokens) == 1000
    assert all(len(token) == 32 and int(token, 16) for token in tokens)


def test_a_scratch_folder_is_gone_at_the_end_and_so_is_what_was_left_a_day_ago(tmp_path):
    parent = tmp_path / "quarantine"
    left, recent = parent / "left", parent / "recent"
    for folder in (left, recent):
        folder.mkdir(parents=True)
        (folder / "file").touch()
    os.utime(left, (left.stat().st_atime, left.stat().st_mtime - 25 * 3600))
    with scratch_folder(parent) as folder:
        (folder / "mine").touch()
        assert set(parent.iterdir()) == {folder, recent}
    assert list(parent.iterdir()) == [recent]


def test_where_no_scratch_folder_can_be_is_said_with_a_way_out(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CannotWrite, match="file"), scratch_folder(tmp_path / "file"):
        raise AssertionError
