"""Payload files are looked into by a process apart, whatever is in them."""

import json
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot

from b2cal.calibration import Payload
from b2cal.conditions import check_files
from b2cal.core.apart import Allowance
from b2cal.core.checksums import sha256_file
from b2cal.core.iov import ExpRun, IoV

pytestmark = pytest.mark.processes

ANY = IoV(ExpRun(0, 0), None)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.root"
    values = {"gain": np.linspace(0.9, 1.1, 12), "dead": np.zeros((3, 4), dtype=bool)}
    Payload("Gains", ANY, values).write(path)
    return path


def problem_of(path: Path, **arguments: Any) -> str:
    (check,) = check_files([path], **arguments)
    (problem,) = check.problems
    assert (check.identity, check.checksum, check.size_bytes) == ("", "", 0)
    return problem


def written(path: Path, gain: Any, meta: dict[str, Any] | None = None) -> Path:
    """A file in the form of a payload, but with contents that `Payload` would refuse."""
    array = np.asarray(gain)
    meta = {"payload": "Gains", "identity": "0" * 64} | (meta or {})
    meta.setdefault("arrays", {"values/gain": [array.dtype.str, list(array.shape)]})
    with uproot.recreate(path) as file:
        file["meta"] = json.dumps(meta)
        file.mktree("values/gain", {"value": array.dtype}).extend({"value": array.ravel()})
    return path


def test_a_good_payload_has_name_identity_checksum_and_size(good: Path) -> None:
    (check,) = check_files([good], names=["Gains"])
    assert check.problems == ()
    assert check.name == "Gains"
    assert check.identity == Payload.read(good, ANY).identity
    assert (check.checksum, check.size_bytes) == (sha256_file(good), good.stat().st_size)


def missing(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("not a payload at all, but quite long for a text file")


def header_only(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:12])


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def last_byte_missing(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def nan(path: Path) -> None:
    written(path, [1.0, 2.0, float("nan")])


def infinite(path: Path) -> None:
    written(path, [1.0, float("-inf")])


def other_contents(path: Path) -> None:
    written(path, [1.0, 2.0])


def no_meta(path: Path) -> None:
    with uproot.recreate(path) as file:
        file.mktree("values/gain", {"value": "f8"}).extend({"value": np.ones(3)})


def meta_without_name(path: Path) -> None:
    with uproot.recreate(path) as file:
        file["meta"] = json.dumps({"identity": "0" * 64, "arrays": {}})


def histogram(path: Path) -> None:
    with uproot.recreate(path) as file:
        file["meta"] = "{}"
        file["h"] = np.histogram([1.0, 2.0])


def text_array(path: Path) -> None:
    written(path, [1.0], {"arrays": {"values/gain": ["<U5", [1]]}})


def absurd_shape(path: Path) -> None:
    written(path, [1.0], {"arrays": {"values/gain": ["<f8", [10**15]]}})


DAMAGES: dict[Callable[[Path], None], str] = {
    missing: "it does not exist",
    empty: "it is empty",
    text: "it is not a ROOT file",
    header_only: "it is truncated: only 12 bytes are there",
    half: "it is truncated: [0-9,]+ of [0-9,]+ bytes are there",
    last_byte_missing: "it is truncated: [0-9,]+ of [0-9,]+ bytes are there",
    nan: r"Gains, value 'gain'\[2\] is nan, not a finite number",
    infinite: r"Gains, value 'gain'\[1\] is -inf, not a finite number",
    other_contents: "its contents differ from the identity written in it",
    no_meta: "it has no 'meta', so it was not written as a payload",
    meta_without_name: "KeyError: 'payload'",
    histogram: r"it holds h \(TH1D\), which no payload has",
    text_array: "Gains, value 'gain' is of type <U5, which a payload cannot hold",
    absurd_shape: "ValueError: cannot reshape array of size 1 into shape .*",
}


def test_each_kind_of_damage_is_refused_with_a_clear_sentence_of_its_own(tmp_path: Path, good: Path) -> None:
    paths = [Path(shutil.copy(good, tmp_path / f"{damage.__name__}.root")) for damage in DAMAGES]
    for damage, path in zip(DAMAGES, paths, strict=True):
        damage(path)
    for check, sentence in zip(check_files(paths), DAMAGES.values(), strict=True):
        (problem,) = check.problems
        assert re.fullmatch(f"{check.path.name}: {sentence}", problem), check.path


def test_a_payload_of_another_name_is_refused(good: Path) -> None:
    assert (
        problem_of(good, names={"Offsets", "Masks"}) == "good.root: it holds Gains, where Masks or Offsets was expected"
    )


def test_a_bad_file_does_not_stop_the_check_of_the_others(good: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.root"
    shutil.copy(good, bad)
    half(bad)
    checks = check_files([bad, good, tmp_path / "none.root", good])
    assert [len(check.problems) for check in checks] == [1, 0, 1, 0]
    assert [check.path for check in checks] == [bad, good, tmp_path / "none.root", good]


def test_no_files_need_no_process() -> None:
    assert check_files([]) == []


def test_a_small_file_that_unpacks_to_very_much_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.root"
    with uproot.recreate(path, compression=uproot.ZLIB(1)) as file:
        file["meta"] = "{}"
        tree = file.mktree("values/gain", {"value": "i1"})
        for _ in range(3):
            tree.extend({"value": np.zeros(50_000_000, dtype=np.int8)})
    assert path.stat().st_size < 1_000_000
    problem = problem_of(path, allowance=Allowance(memory_bytes=1 << 30))
    assert re.fullmatch(
        "bomb.root: it declares 150,[0-9]{3},[0-9]{3} bytes of contents, a payload has at most 134,217,728", problem
    )


def test_a_key_that_lies_about_its_unpacked_size_is_refused_before_it_is_unpacked(good: Path) -> None:
    # Header of a key: fNbytes, fVersion, fObjlen, ...; it stands before the object and once more in the directory.
    with uproot.open(good) as file:
        key = file.key("values/gain")
        header = struct.pack(">ihi", key.fNbytes, key.fVersion, key.fObjlen)
    content = good.read_bytes()
    assert content.count(header) == 2
    good.write_bytes(content.replace(header, header[:6] + struct.pack(">i", 2_000_000_000)))
    assert "declares 2,000," in problem_of(good)


def test_flipped_bits_never_do_more_than_a_problem_or_other_unused_bytes(good: Path, tmp_path: Path) -> None:
    content = good.read_bytes()
    identity = Payload.read(good, ANY).identity
    rng = np.random.default_rng(7)
    paths = []
    for n, position in enumerate(rng.integers(0, len(content), size=60)):
        flipped = bytearray(content)
        flipped[position] ^= 1 << int(rng.integers(8))
        path = tmp_path / f"flipped{n}.root"
        path.write_bytes(flipped)
        paths.append(path)
    for check in check_files(paths, names=["Gains"], allowance=Allowance(seconds=5)):
        assert check.problems or check.identity == identity
