"""The IoV algebra against a model that enumerates runs one by one.

The model's runs are enough: ends of intervals are taken from `ENDS`, and each stretch of runs between two of them is
represented by one run in `UNIVERSE`.
"""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b2cal.core.iov import (
    END_OF_EXPERIMENT,
    OPEN,
    ExpRun,
    InvalidIoV,
    IoV,
    experiment_starts,
    gaps,
    overlaps,
    split,
)

EXPERIMENTS = range(3)
LAST_OF_ALL = ExpRun(2**31 - 2, END_OF_EXPERIMENT)
ENDS = [ExpRun(e, r) for e in EXPERIMENTS for r in (0, 1, 2, 3, END_OF_EXPERIMENT - 1, END_OF_EXPERIMENT)] + [
    LAST_OF_ALL
]
UNIVERSE = sorted([*ENDS, *(ExpRun(e, 1000) for e in EXPERIMENTS), ExpRun(7, 7)])

runs = st.sampled_from(UNIVERSE)


@st.composite
def iovs(draw: st.DrawFn) -> IoV:
    first, last = sorted([draw(st.sampled_from(ENDS)), draw(st.sampled_from(ENDS))])
    return IoV(first, draw(st.sampled_from([last, None])))


def runs_of(*some: IoV | None) -> list[ExpRun]:
    """The runs of the universe that lie in any of the intervals, by comparing experiment and run only."""
    return [
        run
        for run in UNIVERSE
        if any(iov and iov.first <= run and (iov.last is None or run <= iov.last) for iov in some)
    ]


def assert_apart_and_in_order(found: list[IoV]) -> None:
    """As few intervals as possible: none overlaps or touches the next."""
    assert all(one.last_number + 1 < other.first.number for one, other in pairwise(found))


@given(iovs(), runs)
def test_an_iov_contains_the_runs_between_its_ends(iov, run):
    assert iov.contains(run) == (run in runs_of(iov))


@given(iovs(), iovs())
def test_the_overlap_holds_the_runs_of_both(one, other):
    assert runs_of(one.overlap(other)) == [run for run in runs_of(one) if run in runs_of(other)]
    assert one.overlap(other) == other.overlap(one) == one.clip(other)


@given(st.lists(iovs(), max_size=6), iovs())
def test_gaps_are_the_runs_without_an_iov(some, within):
    found = gaps(some, within)
    assert runs_of(*found) == [run for run in runs_of(within) if run not in runs_of(*some)]
    assert_apart_and_in_order(found)


@given(st.lists(iovs(), max_size=6))
def test_overlaps_are_the_runs_with_more_than_one_iov(some):
    found = overlaps(some)
    assert runs_of(*found) == [run for run in UNIVERSE if sum(run in runs_of(iov) for iov in some) > 1]
    assert_apart_and_in_order(found)


@given(iovs(), st.lists(st.sampled_from(ENDS)))
def test_a_split_gives_pieces_in_order_that_start_at_the_boundaries_inside(iov, boundaries):
    pieces = split(iov, boundaries)
    assert [piece.first for piece in pieces] == sorted({iov.first, *(b for b in boundaries if iov.contains(b))})
    assert [run for piece in pieces for run in runs_of(piece)] == runs_of(iov)
    assert pieces[-1].last == iov.last


@given(st.lists(runs, min_size=1))
def test_pieces_cut_at_experiment_starts_hold_runs_of_one_experiment_each(some):
    pieces = split(IoV(ExpRun(0, 0), None), experiment_starts(some))
    assert all(len({run.exp for run in some if piece.contains(run)}) <= 1 for piece in pieces)


@given(iovs())
def test_every_written_form_of_an_iov_can_be_read_back(iov):
    assert IoV.from_json(iov.to_json()) == iov
    assert IoV.from_numbers(iov.first.number, iov.last_number) == iov


@given(st.lists(runs))
def test_the_number_line_has_the_order_of_the_runs(some):
    assert [ExpRun.from_number(number) for number in sorted(run.number for run in some)] == sorted(some)
    assert all(run.number < OPEN for run in some)


@given(runs)
def test_a_run_can_be_read_back_from_its_text(run):
    assert ExpRun.parse(str(run)) == run


@pytest.mark.parametrize("text", ["e26r180", "26/180", "26:180", " e26r180 "])
def test_a_run_may_be_written_in_three_ways(text):
    assert ExpRun.parse(text) == ExpRun(26, 180)


@pytest.mark.parametrize("text", ["", "26", "26-180", "e26", "e26r", "e-1r3", "e26r180x", "e٣r٤", "1" * 5000 + "/1"])
def test_what_is_no_run_is_refused_with_the_way_to_write_one(text):
    with pytest.raises(InvalidIoV) as refused:
        ExpRun.parse(text)
    assert "e26r180" in refused.value.hint


@pytest.mark.parametrize(("exp", "run"), [(-1, 0), (0, -1), (2**31 - 1, 0), (0, 2**32)])
def test_runs_outside_of_the_number_line_do_not_exist(exp, run):
    with pytest.raises(InvalidIoV):
        ExpRun(exp, run)


@pytest.mark.parametrize("value", [None, [], [[1]], [[1, 2]], [[1, 2], [3]], [["a", 2], None], [[5, 0], [4, 0]]])
def test_a_malformed_json_iov_is_refused(value):
    with pytest.raises(InvalidIoV):
        IoV.from_json(value)


def test_an_iov_cannot_end_before_it_starts():
    with pytest.raises(InvalidIoV, match="cannot end at e26r1, before its start at e26r2"):
        IoV(ExpRun(26, 2), ExpRun(26, 1))


def test_nothing_is_missing_after_the_last_run_that_can_be():
    assert not gaps([IoV(ExpRun(0, 0), LAST_OF_ALL)], IoV(ExpRun(0, 0), None))


def test_a_run_after_the_last_of_an_experiment_is_the_first_of_the_next():
    assert not gaps([IoV.from_belle2(7, 0, 7, -1), IoV.from_belle2(8, 0, -1, -1)], IoV.from_belle2(7, 5, 8, 3))


def test_texts_are_those_people_write():
    assert str(IoV.from_belle2(26, 180, -1, -1)) == "e26r180 - open"
    assert str(IoV.from_belle2(26, 180, 26, -1)) == "e26r180 - e26rend"
    assert str(IoV.from_belle2(0, 0, 26, 7)) == "e0r0 - e26r7"
    assert IoV.from_belle2(0, 0, -1, -1) == IoV.from_belle2(-1, 0, -1, -1) == IoV(ExpRun(0, 0), None)


def test_the_empty_interval_of_belle_ii_does_not_become_all_runs():
    with pytest.raises(InvalidIoV, match="holds no run") as refused:
        IoV.from_belle2(-1, -1, -1, -1)
    assert "0,0,-1,-1" in refused.value.hint
