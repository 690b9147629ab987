"""What is wrong with a ROOT file is told alike wherever one is looked at."""

import struct
from pathlib import Path

import numpy as np
import pytest

from b2cal.calibration.inputs import UnreadableInput
from b2cal.calibration.payload import Payload
from b2cal.conditions import check_files
from b2cal.core.iov import ExpRun, IoV
from b2cal.core.root_file import root_file_problem
from b2cal.data.opening import open_files

ALWAYS = IoV(ExpRun(0, 0), None)


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    path = tmp_path / "whole.root"
    Payload("Gain", ALWAYS, {"gain": np.arange(100.0)}).write(path)
    assert root_file_problem(path) == ""
    return path.read_bytes()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda whole: whole[:0], "it is empty"),
        (lambda whole: b"PK" + whole[2:], "it is not a ROOT file"),
        (lambda whole: whole[:12], "it is truncated: only 12 bytes are there"),
        (lambda whole: whole[:63], "it is truncated: only 63 bytes are there"),
        (lambda whole: whole[:1000], "it is truncated: 1,000 of {size:,} bytes are there"),
        (lambda whole: whole[:-1], "it is truncated: {less:,} of {size:,} bytes are there"),
        (lambda whole: whole[:8] + struct.pack(">i", -1) + whole[12:], "its header is damaged"),
    ],
    ids=["empty", "zip", "12 bytes", "63 bytes", "1000 bytes", "last byte", "header"],
)
@pytest.mark.processes
def test_scan_publication_and_job_say_the_same_of_a_damaged_file(tmp_path, whole, damage, says):
    path = tmp_path / "damaged.root"
    path.write_bytes(damage(whole))
    sentence = says.format(size=len(whole), less=len(whole) - 1)
    assert root_file_problem(path) == sentence
    assert [opened.reason for opened in open_files([path])] == [sentence]
    assert [check.problems for check in check_files([path])] == [(f"damaged.root: {sentence}",)]
    with pytest.raises(UnreadableInput, match=f"cannot be read: {sentence}"):
        Payload.read(path, ALWAYS)


def test_a_large_file_has_its_end_in_64_bits(tmp_path):
    path = tmp_path / "large.root"
    path.write_bytes(b"root" + struct.pack(">iiq", 1_062_400, 100, 3 << 30) + bytes(100))
    assert root_file_problem(path) == "it is truncated: 120 of 3,221,225,472 bytes are there"


def test_what_is_not_there_cannot_be_looked_at(tmp_path):
    with pytest.raises(FileNotFoundError):
        root_file_problem(tmp_path / "nowhere.root")
