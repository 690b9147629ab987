"""Payload files are looked into by a process apart, whatever is in them."""

import json
import re
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot

from b2cal.calibration import Payload
from b2cal.conditions import Allowance, check_files, work_apart
from b2cal.core.checksums import sha256_file
from b2cal.core.iov import ExpRun, IoV
from b2cal.core.processes import ProcessIdentity

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
    header_only: "it is truncated after 12 bytes",
    half: "it is truncated: only [0-9,]+ of [0-9,]+ bytes are there",
    last_byte_missing: "it is truncated: only [0-9,]+ of [0-9,]+ bytes are there",
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


# --- the process apart itself ----------------------------------------------------------------------------------------


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "module.py"
    path.write_text(
        "import os, sys, time\n"
        "def handle(item):\n"
        "    if item == 'sleep': time.sleep(60)\n"
        "    if item == 'spin':\n"
        "        while True: pass\n"
        "    if item == 'eat': return len(bytearray(10**10))\n"
        "    if item == 'die': os.kill(os.getpid(), 9)\n"
        "    if item == 'exit': sys.exit('gone')\n"
        "    if item == 'raise': raise ValueError('no such thing\\nand more')\n"
        "    if item == 'print': print('noise on stdout')\n"
        "    if item == 'write': open(__file__ + '.big', 'wb').write(bytes(10**6))\n"
        "    if item == 'environment': return sorted(os.environ)\n"
        "    return item\n"
    )
    return path


def test_whatever_an_item_does_to_the_process_the_others_are_answered(module: Path) -> None:
    items = [1, "sleep", {"a": 2}, "die", "eat", "exit", "raise", "write", "print", 3]
    answers = work_apart(module, items, Allowance(seconds=1, memory_bytes=2 << 30, file_bytes=1000))
    assert [answer.value for answer in answers] == [1, None, {"a": 2}, None, None, None, None, None, "print", 3]
    assert [answer.failure for answer in answers if answer.failure] == [
        "it took longer than 1 s",
        "the process that worked on it was ended by SIGKILL",
        "it needs more than 2048 MiB of memory",
        "the process that worked on it ended with code 1: gone",
        "ValueError: no such thing",
        "OSError: [Errno 27] File too large",
    ]


def test_an_endless_loop_ends_with_its_allowance(module: Path) -> None:
    started = time.monotonic()
    (answer,) = work_apart(module, ["spin"], Allowance(seconds=1))
    assert answer.failure == "it took longer than 1 s"
    assert time.monotonic() - started < 30


def test_the_process_sees_no_secrets_of_its_parent(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("B2CAL_DATABASE_URL", "mysql://b2cal:secret@db/b2cal")
    (answer,) = work_apart(module, ["environment"], Allowance())
    assert "PATH" in answer.value
    assert not [name for name in answer.value if name.startswith("B2CAL")]


def test_a_module_that_cannot_be_loaded_is_a_failure_of_every_item(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("import nothing_of_this_name\n")
    answers = work_apart(broken, [1, 2], Allowance())
    assert ["No module named 'nothing_of_this_name'" in answer.failure for answer in answers] == [True, True]


def test_the_process_ends_with_its_parent(module: Path, tmp_path: Path) -> None:
    module.write_text(
        "import os, time\n"
        "def handle(path):\n"
        "    open(path, 'w').write(str(os.getpid()))\n"
        "    os.rename(path, path + '.pid')\n"
        "    time.sleep(60)\n"
    )
    program = (
        "from pathlib import Path; from b2cal.conditions import Allowance, work_apart\n"
        f"work_apart(Path({str(module)!r}), [{str(tmp_path / 'child')!r}], Allowance(seconds=60))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program])
    while not (tmp_path / "child.pid").exists():
        assert parent.poll() is None
        time.sleep(0.01)
    child = ProcessIdentity.of(int((tmp_path / "child.pid").read_text()))
    assert child is not None
    parent.kill()
    parent.wait()
    give_up_at = time.monotonic() + 30
    while child.is_alive():
        assert time.monotonic() < give_up_at
        time.sleep(0.01)
