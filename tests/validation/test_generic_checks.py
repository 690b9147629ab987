"""Checks that every calibration gets, each with a planted deviation of twice and of half its limit."""

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot

from b2cal.core.apart import Allowance
from b2cal.core.iov import ExpRun, IoV
from b2cal.model import Grade
from b2cal.validation import Check, generic_checks
from b2cal.validation.comparison import ALONE, FLAGS_AT_LEAST, LIMIT, SHARE_OF_FLAGS, TOGETHER, spread
from tests.validation.payloads import FIRST, REQUESTED, File, written

pytestmark = pytest.mark.processes

Array = np.ndarray[Any, np.dtype[Any]]

N = 300
OFFSETS = np.random.default_rng(3).normal(2.0, 5.0, N)
DRIFT = np.random.default_rng(4).normal(0.3, 0.1, N)
FEW = np.array([4.0, -5.0, 6.0])
ERROR = 0.05


def size(values: Array) -> float:
    """The typical size R of constants; see `comparison`."""
    return max(float(np.median(np.abs(values))), spread(values))


def own_change(times: float) -> tuple[Array, Array]:
    """Channel 17 moves by so many times its limit, the others drift."""
    new = OFFSETS + DRIFT
    unit = np.sqrt(2 * ERROR**2 + spread(DRIFT) ** 2 + (ALONE * size(OFFSETS)) ** 2)
    new[17] = OFFSETS[17] + np.median(DRIFT) + times * LIMIT * unit
    return new, OFFSETS


def own_change_downwards(times: float) -> tuple[Array, Array]:
    new, previous = own_change(times)
    return -new, -previous


def change_of_few(times: float) -> tuple[Array, Array]:
    unit = np.hypot(np.sqrt(2) * ERROR, TOGETHER * size(FEW))
    return FEW + np.array([0, times * LIMIT * unit, 0]), FEW


def change_of_one(times: float) -> tuple[Array, Array]:
    unit = np.hypot(np.sqrt(2) * ERROR, TOGETHER * 3.0)
    return np.array([3.0 - times * LIMIT * unit]), np.array([3.0])


def common_change(times: float) -> tuple[Array, Array]:
    unit = np.hypot(np.sqrt(2) * ERROR / np.sqrt(N), TOGETHER * size(OFFSETS))
    return OFFSETS + (DRIFT - np.median(DRIFT)) + times * LIMIT * unit, OFFSETS


def flags(times: float) -> tuple[Array, Array]:
    previous = np.arange(N) % 50 == 0
    new = previous.copy()
    new[: round(times * SHARE_OF_FLAGS * N)] ^= True
    return new, previous


def few_flags(times: float) -> tuple[Array, Array]:
    previous = np.zeros(20, dtype=np.uint8)
    new = previous.copy()
    new[: int(times * FLAGS_AT_LEAST)] = 2
    return new, previous


KINDS = {
    "change of {}/value": (own_change, "value[17]"),
    "change of {}Down/value": (own_change_downwards, "value[17]"),
    "change of {}Few/value": (change_of_few, "value[1]"),
    "change of {}One/value": (change_of_one, "value[0]"),
    "common change of {}Common/value": (common_change, "value"),
    "share of changed {}Flags/value": (flags, ""),
    "share of changed {}FewFlags/value": (few_flags, ""),
}


def covariance_for(values: Array) -> Array | None:
    return ERROR**2 * np.eye(values.size) if values.dtype.kind == "f" else None


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Check]:
    """Payloads with each kind of deviation, "Twice..." and "Half...", all checked in one go."""
    folder = tmp_path_factory.mktemp("planted")
    new, previous = [], []
    for word, times in (("Twice", 2.0), ("Half", 0.5)):
        for title, (plant, _) in KINDS.items():
            name = title.format(word).rpartition(" ")[2].partition("/")[0]
            for files, values in zip((new, previous), plant(times), strict=True):
                files.append(written(folder, name, {"value": values}, covariance_for(values)))
    return {check.name: check for check in generic_checks(new, previous, REQUESTED)}


@pytest.mark.parametrize("title", KINDS)
def test_a_change_of_twice_the_limit_is_red_and_of_half_the_limit_is_not(planted: dict[str, Check], title: str) -> None:
    red, green = planted[title.format("Twice")], planted[title.format("Half")]
    assert (red.grade, red.n_outside, red.where) == (Grade.FAIL, 1, KINDS[title][1])
    assert (green.grade, green.n_outside) == (Grade.PASS, 0)
    assert red.high is not None
    assert abs(float(red.value or 0)) == pytest.approx(2 * red.high, rel=0.02)
    assert abs(float(green.value or 0)) == pytest.approx(red.high / 2, rel=0.5 if "lags" in title else 0.02)


def test_no_other_check_turns_red(planted: dict[str, Check]) -> None:
    red = {name for name, check in planted.items() if check.grade is not Grade.PASS}
    assert red == {title.format("Twice") for title in KINDS}


# --- yes or no -------------------------------------------------------------------------------------------------------

GOOD = {"gain": OFFSETS, "dead": OFFSETS > 14}
UNTIL_9, FROM_10 = IoV(ExpRun(26, 5), ExpRun(26, 9)), IoV(ExpRun(26, 10), None)


def replaced(file: File, **columns: Any) -> File:
    return File(**(vars(file) | columns))


class Case:
    """New and previous constants of many names, of which each shows one thing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.new: list[File] = []
        self.previous: list[File] = []

    def add(self, name: str, new: dict[str, Any], previous: dict[str, Any] | None, iov: IoV = REQUESTED) -> File:
        self.new.append(written(self.folder, name, new, iov=iov))
        if previous is not None:
            self.previous.append(written(self.folder, name, previous, iov=iov))
        return self.new[-1]

    def checks(self) -> dict[str, Check]:
        return {
            it.name: it for it in generic_checks(self.new, self.previous, REQUESTED, allowance=Allowance(seconds=4))
        }


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Check]:
    """Nothing of this may be red."""
    case = Case(tmp_path_factory.mktemp("good"))
    case.add("Gains", GOOD | {"gain": OFFSETS + DRIFT}, GOOD)
    case.add("Scale", {"scale": 1.01}, {"scale": 1.0}, UNTIL_9)
    case.add("Scale", {"scale": 2.02}, {"scale": 2.0}, FROM_10)
    case.add("First", GOOD, None)
    case.add("Nominal", GOOD, {"gain": np.zeros(N), "dead": np.zeros(N, dtype=bool)})
    return case.checks()


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Check]:
    """Each name with one thing that is wrong."""
    case = Case(tmp_path_factory.mktemp("bad"))
    truncated = case.add("Truncated", GOOD, GOOD)
    truncated.path.write_bytes(truncated.path.read_bytes()[:1000])
    case.new[-1] = replaced(case.add("Other", GOOD, GOOD), identity="0" * 64)
    os.mkfifo(case.folder / "pipe.root")
    case.new[-1] = replaced(case.add("Hanging", GOOD, GOOD), path=case.folder / "pipe.root")
    infinite = case.add("Infinite", {"gain": [1.0, 2.0]}, GOOD)
    meta = {"payload": "Infinite", "identity": infinite.identity, "arrays": {"values/gain": ["<f8", [2]]}}
    with uproot.recreate(infinite.path) as file:
        file["meta"] = json.dumps(meta)
        file.mktree("values/gain", {"value": "f8"}).extend({"value": np.array([1.0, np.inf])})
    case.add("New", GOOD | {"slope": OFFSETS}, GOOD)
    case.add("Gone", {"gain": OFFSETS}, GOOD)
    case.add("Shape", GOOD | {"gain": OFFSETS.reshape(10, 30)}, GOOD)
    case.add("Lost", GOOD, GOOD)
    case.previous[-1].path.unlink()
    late, early, short = (case.add(name, GOOD, GOOD) for name in ("Late", "Early", "Short"))
    case.new[-3] = replaced(late, first=FIRST.number + 1)
    case.new[-2] = replaced(early, first=FIRST.number - 1)
    case.new[-1] = replaced(short, last=FIRST.number + 9)
    return case.checks()


def test_good_constants_are_green_in_every_check(good: dict[str, Check]) -> None:
    assert {it.name: it for it in good.values() if it.grade is not Grade.PASS} == {}


def test_the_first_constants_of_a_name_have_nothing_to_compare_with(good: dict[str, Check]) -> None:
    assert good["change of First"].note == "There were no constants of this name before."


def test_nominal_constants_before_are_nothing_to_compare_with(good: dict[str, Check]) -> None:
    assert good["change of Nominal/gain"].note == "The previous constants are nominal."
    assert good["change of Nominal/dead"].note == "The previous constants are nominal."


def test_each_interval_is_compared_with_what_was_valid_before_at_its_first_run(tmp_path: Path) -> None:
    case = Case(tmp_path)
    case.add("Scale", {"scale": 2.0}, {"scale": 1.0}, UNTIL_9)
    case.add("Scale", {"scale": 1.0}, {"scale": 2.0}, FROM_10)
    check = case.checks()["change of Scale/scale"]
    assert (check.grade, check.n_outside, check.n_values, check.where) == (Grade.FAIL, 2, 2, "scale from e26r5")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("Truncated", r"The input \S+ cannot be read: [^;]+"),
        ("Other", r"The input \S+ cannot be read: it holds other constants than were recorded\."),
        ("Hanging", "it took longer than 4 s"),
    ],
)
def test_a_payload_that_does_not_open_is_red_and_says_why(bad: dict[str, Check], name: str, problem: str) -> None:
    check = bad["payload files open"]
    assert (check.grade, check.n_outside) == (Grade.FAIL, 3)
    assert re.search(f"{name} e26r5 - open: {problem}(;|$)", check.note)


def test_contents_that_are_not_finite_are_red_and_so_is_what_nobody_could_look_at(bad: dict[str, Check]) -> None:
    check = bad["contents are finite"]
    assert (check.grade, check.n_outside) == (Grade.FAIL, 4)
    assert "Infinite e26r5 - open: Infinite, value 'gain'[1] is inf, not a finite number." in check.note
    assert "Truncated e26r5 - open: it does not open" in check.note


def test_constants_that_do_not_cover_exactly_what_was_asked_are_red(bad: dict[str, Check]) -> None:
    check = bad["IoVs cover the runs asked for"]
    assert (check.grade, check.n_outside) == (Grade.FAIL, 3)
    assert check.note.split("; ") == [
        "Early is valid for e26r4 - open, which reaches beyond e26r5 - open, the runs asked for",
        "Late has no constants for e26r5 - e26r5, which was asked for",
        "Short has no constants for e26r15 - open, which was asked for",
    ]


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("New", "New e26r5 - open: slope is new"),
        ("Gone", "Gone e26r5 - open: dead is gone"),
        ("Shape", "Shape e26r5 - open: gain had the shape (300,), now (10, 30)"),
        ("Lost", "Lost e26r5 - open: The previous constants cannot be compared: "),
    ],
)
def test_another_layout_than_before_is_red(bad: dict[str, Check], name: str, note: str) -> None:
    check = bad[f"layout of {name} as before"]
    assert check.grade is Grade.FAIL
    assert check.note.startswith(note)


def test_nothing_else_is_red_beside_what_is_wrong(bad: dict[str, Check]) -> None:
    red = {name for name, check in bad.items() if check.grade is not Grade.PASS}
    assert red == {
        "payload files open",
        "contents are finite",
        "IoVs cover the runs asked for",
        *(f"layout of {name} as before" for name in ("New", "Gone", "Shape", "Lost")),
    }


def test_of_many_problems_of_one_kind_the_first_are_told_and_the_others_counted(tmp_path: Path) -> None:
    case = Case(tmp_path)
    for i in range(7):
        case.add(f"Gains{i}", {"gain": 1.0}, None).path.write_bytes(b"")
    check = case.checks()["payload files open"]
    assert check.n_outside == 7
    assert check.note.endswith("; and 2 more")
