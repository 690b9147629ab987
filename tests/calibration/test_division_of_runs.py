"""Pieces of a calibration's runs, and how those with too few data are joined."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b2cal.calibration import NotEnoughData, Strategy
from b2cal.calibration.fit import Fitted, fit_joining
from b2cal.calibration.strategy import InvalidBoundaries, pieces
from b2cal.core.fit_outcome import FitOutcome
from b2cal.core.iov import ExpRun, IoV, gaps, overlaps, split

RANGE = IoV(ExpRun(1, 2), ExpRun(3, 8))
some_runs = st.builds(ExpRun, st.integers(0, 4), st.integers(0, 9))
present_runs = st.lists(some_runs.filter(RANGE.contains), min_size=1)


def test_a_single_strategy_has_one_piece_whatever_the_boundaries():
    assert pieces(Strategy.SINGLE, RANGE, {}, [ExpRun(1, 3), ExpRun(2, 0)]) == [RANGE]


@given(st.lists(some_runs), present_runs)
def test_pieces_are_the_range_and_each_has_runs_of_one_experiment(boundaries, runs):
    found = pieces(Strategy.BOUNDARIES, RANGE, {"payload_boundaries": [[b.exp, b.run] for b in boundaries]}, runs)
    assert not gaps(found, RANGE)
    assert not overlaps(found)
    for piece in found:
        assert piece.clip(RANGE) == piece
        assert len({run.exp for run in runs if piece.contains(run)}) == 1


@given(st.lists(some_runs), present_runs)
def test_two_runs_share_constants_unless_a_boundary_or_a_new_experiment_lies_between(boundaries, runs):
    found = pieces(Strategy.BOUNDARIES, RANGE, {"payload_boundaries": [[b.exp, b.run] for b in boundaries]}, runs)
    for one, other in pairwise(sorted(set(runs))):
        divided = one.exp != other.exp or any(one < boundary <= other for boundary in boundaries)
        assert any(piece.contains(one) and piece.contains(other) for piece in found) == (not divided)


def test_a_boundary_without_runs_behind_it_leaves_the_constants_open():
    iov, config = IoV(ExpRun(26, 1), None), {"payload_boundaries": [[26, 5], [26, 90]]}
    assert [str(piece) for piece in pieces(Strategy.BOUNDARIES, iov, config, [ExpRun(26, 2), ExpRun(26, 8)])] == [
        "e26r1 - e26r4",
        "e26r5 - open",
    ]


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"payload_boundaries": None},
        {"payload_boundaries": [1]},
        {"payload_boundaries": [[26, -4]]},
        {"payload_boundaries": [[26, 2**32]]},
    ],
)
def test_boundaries_that_are_none_are_refused_with_the_way_to_write_them(config):
    with pytest.raises(InvalidBoundaries) as refused:
        pieces(Strategy.BOUNDARIES, RANGE, config, [ExpRun(1, 2)])
    assert '"payload_boundaries": [[exp, run], ...]' in refused.value.hint


NEEDED = 5
experiment = IoV(ExpRun(7, 0), ExpRun(7, 99))


@given(st.lists(st.integers(0, 7), min_size=1, max_size=8))
def test_joined_intervals_each_have_enough_data_and_are_all_runs(events):
    """The model: run 10 k of the experiment has `events[k]` events, and each is an interval of its own."""
    iovs = split(experiment, [ExpRun(7, 10 * k) for k in range(len(events))])

    def found_in(iov):
        return sum(n for k, n in enumerate(events) if iov.contains(ExpRun(7, 10 * k)))

    asked = []

    def fit_one(iov):
        asked.append(iov)
        if found_in(iov) < NEEDED:
            raise NotEnoughData(NEEDED, found_in(iov))
        return Fitted(FitOutcome.OK, message=str(iov))

    if sum(events) < NEEDED:
        with pytest.raises(NotEnoughData, match=f"Only {sum(events)} events were found, 5 are needed"):
            fit_joining(fit_one, iovs)
        return
    fitted = {fitted.message for fitted in fit_joining(fit_one, iovs)}
    kept = [iov for iov in asked if str(iov) in fitted]
    assert not gaps(kept, experiment)
    assert not overlaps(kept)
    assert all(found_in(iov) >= NEEDED for iov in kept)
    # Nothing was joined without need: without its last interval, each but the last has too few.
    for iov in kept[:-1]:
        last_interval = next(each for each in iovs if each.last == iov.last)
        assert found_in(iov) - found_in(last_interval) < NEEDED
