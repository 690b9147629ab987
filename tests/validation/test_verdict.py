"""Limits applied to measurements: what is red, what is not, and that nothing passes unseen."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from b2cal import calibration, validation
from b2cal.calibration import Limit, Measurement
from b2cal.model import Grade
from b2cal.validation import Check, Judgement, Limits, Origin, Quantity, judge, not_converged


def judged(values: Any, limit: Limit | None = None, generic: list[Check] | None = None, **fields: Any) -> Judgement:
    measurement = Measurement("resolution", values, **fields).to_json()
    limits = {} if limit is None else {"resolution": limit.to_json()}
    return judge([measurement], limits, generic or [])


def a_generic_check(value: float, name: str = "change of Gains/gain") -> Check:
    quantity = Quantity(name, np.array([0.5, value, 0.1]), ["gain[0]", "gain[1]", "gain[2]"], "σ")
    return Check.of(quantity, Limits(-8.0, 8.0, Origin.GENERIC))


# Every way in which a limit can be given, and how a value that is `times` the limit away from what is good looks like.
KINDS: dict[str, tuple[Limit, float, float]] = {
    "upper": (Limit(high=3.0), 0.0, 3.0),
    "lower": (Limit(low=-3.0), 0.0, -3.0),
    "both, above": (Limit(-3.0, 3.0), 0.0, 3.0),
    "both, below": (Limit(-3.0, 3.0), 0.0, -3.0),
    "both, not around zero, above": (Limit(97.0, 103.0), 100.0, 3.0),
    "both, not around zero, below": (Limit(97.0, 103.0), 100.0, -3.0),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("beyond", [calibration.Grade.WARN, calibration.Grade.FAIL])
@pytest.mark.parametrize("channels", [None, 1, 299])
def test_a_deviation_of_twice_the_limit_is_red_and_of_half_the_limit_is_not(
    kind: str, beyond: calibration.Grade, channels: int | None
) -> None:
    limit, good, deviation = KINDS[kind]
    limit = Limit(limit.low, limit.high, beyond)
    for times, grade, n_outside in ((2.0, Grade(beyond.value), 1), (0.5, Grade.PASS, 0)):
        planted = good + times * deviation
        if channels is None:
            values: Any = planted
        else:
            values = np.full(channels, good)
            values[channels // 2] = planted
        judgement = judged(values, limit, axis="layer")
        (check,) = judgement.checks
        assert (judgement.grade, check.grade, check.n_outside) == (grade, grade, n_outside)
        assert (check.value, check.low, check.high, check.origin) == (planted, limit.low, limit.high, Origin.SCRIPT)
        assert check.where == ("" if channels is None else f"layer {channels // 2}")


def test_a_value_on_the_limit_is_inside() -> None:
    assert judged([1.0, 3.0], Limit(1.0, 3.0)).grade is Grade.PASS


@pytest.mark.parametrize(("values", "where"), [(False, ""), ([True, False, True], "crate 1")])
def test_a_no_is_red_and_a_yes_is_not(values: Any, where: str) -> None:
    judgement = judged(values, axis="crate")
    (check,) = judgement.checks
    assert (judgement.grade, check.where, check.value, check.n_outside) == (Grade.FAIL, where, False, 1)
    assert judged(np.ones_like(values), axis="crate").grade is Grade.PASS


def test_a_script_may_make_a_no_a_warning() -> None:
    assert judged(False, Limit(beyond=calibration.Grade.WARN)).grade is Grade.WARN


@pytest.mark.parametrize(
    ("values", "note"),
    [
        ([], "It has no values."),
        (float("nan"), "It was not measured."),
        ([float("nan"), float("nan")], "It was not measured."),
    ],
)
@pytest.mark.parametrize("limit", [None, Limit(high=3.0), Limit(high=3.0, beyond=calibration.Grade.WARN)])
def test_what_was_not_measured_is_a_failure_with_and_without_limits(
    values: Any, note: str, limit: Limit | None
) -> None:
    judgement = judged(values, limit)
    assert (judgement.grade, judgement.checks[0].note) == (Grade.FAIL, note)


@pytest.mark.parametrize("limit", [None, Limit(high=3.0), Limit(low=3.0)])
@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_an_infinite_value_is_a_failure_on_either_side(value: float, limit: Limit | None) -> None:
    limits = {} if limit is None else {"resolution": limit.to_json()}
    judgement = judge([{"name": "resolution", "values": [5.0, value]}], limits, [])
    assert judgement.grade is Grade.FAIL
    assert judgement.checks[0].value is None


def test_channels_that_were_not_measured_are_counted_and_the_others_judged() -> None:
    judgement = judged([1.0, float("nan"), 2.0], Limit(high=3.0))
    assert judgement.grade is Grade.PASS
    assert judgement.checks[0].note == "1 of 3 were not measured."
    assert judged([1.0, float("nan"), 6.0], Limit(high=3.0)).grade is Grade.FAIL


def test_a_limit_without_its_measurement_is_a_failure() -> None:
    judgement = judge([], {"resolution": Limit(high=3.0).to_json()}, [])
    assert judgement.grade is Grade.FAIL
    assert "measured nothing of this name" in judgement.checks[0].note


@pytest.mark.parametrize(
    "measurement",
    [
        {"name": "resolution"},
        {"name": "resolution", "values": "good"},
        {"name": "resolution", "values": [[1.0], [2.0, 3.0]]},
        {"name": "resolution", "values": {"a": 1}},
        {"values": None},
    ],
)
def test_a_malformed_measurement_is_a_failure(measurement: dict[str, Any]) -> None:
    assert judge([measurement], {}, []).grade is Grade.FAIL


@pytest.mark.parametrize(
    "limit", [{"low": 3, "high": 1}, {"low": float("nan")}, {"high": "x"}, {"high": 1, "beyond": "maybe"}, 5]
)
def test_a_limit_that_is_none_is_a_failure(limit: Any) -> None:
    assert judge([{"name": "resolution", "values": 0.0}], {"resolution": limit}, []).grade is Grade.FAIL
    name = "change of Gains/gain"
    assert judge([], {name: limit}, [a_generic_check(0.0)]).grade is Grade.FAIL


def test_a_measurement_without_limits_is_shown_and_is_no_verdict_of_the_script() -> None:
    judgement = judged([1.0, -7.0, 3.0])
    (check,) = judgement.checks
    assert (judgement.grade, judgement.generic_only) == (Grade.PASS, True)
    assert (check.origin, check.where, check.value) == (Origin.NONE, "[1]", -7.0)
    assert not judged(1.0, Limit(high=3.0)).generic_only
    assert not judged(True).generic_only


@pytest.mark.parametrize(
    ("ours", "theirs", "worst"),
    [
        (1.0, 1.0, Grade.PASS),
        (1.0, 9.0, Grade.FAIL),
        (4.0, 1.0, Grade.WARN),
        (4.0, 9.0, Grade.FAIL),
    ],
)
def test_the_verdict_is_as_bad_as_the_worst_check(ours: float, theirs: float, worst: Grade) -> None:
    assert judged(ours, Limit(high=3.0, beyond=calibration.Grade.WARN), [a_generic_check(theirs)]).grade is worst


def test_a_script_replaces_the_limit_of_a_generic_check_by_its_name() -> None:
    limits = {"change of Gains/gain": Limit(-30.0, 30.0).to_json()}
    (check,) = judge([], limits, [a_generic_check(20.0)]).checks
    assert (check.grade, check.high, check.origin, check.n_outside) == (Grade.PASS, 30.0, Origin.SCRIPT, 0)
    narrow = {"change of Gains/gain": Limit(-0.3, 0.3, calibration.Grade.WARN).to_json()}
    (check,) = judge([], narrow, [a_generic_check(2.0)]).checks
    assert (check.grade, check.where, check.n_outside) == (Grade.WARN, "gain[1]", 2)


def test_a_fit_that_did_not_converge_asks_a_person() -> None:
    assert judge([], {}, [not_converged()]).grade is Grade.WARN


def test_where_nothing_was_made_there_is_nothing_to_complain_about() -> None:
    assert judge([], {}, []) == Judgement(Grade.PASS, True, ())


def test_what_has_no_limit_is_shown_and_not_counted_as_judged() -> None:
    judgement = judge([{"name": "seen", "values": 1.0}, {"name": "width", "values": 2.0}], {"width": {"high": 3.0}}, [])
    assert [check["name"] for check in validation.judged(check.to_json() for check in judgement.checks)] == ["width"]


numbers = st.one_of(st.none(), st.booleans(), st.floats(), st.integers(-(10**6), 10**6))
limits = st.fixed_dictionaries(
    {
        "low": st.one_of(st.none(), st.floats()),
        "high": st.one_of(st.none(), st.floats()),
        "beyond": st.sampled_from(["pass", "warn", "fail"]),
    }
)


@given(values=st.one_of(numbers, st.lists(numbers, max_size=6)), limit=st.one_of(st.none(), limits))
def test_whatever_was_measured_the_verdict_is_plain_json_and_its_counts_are_right(values: Any, limit: Any) -> None:
    judgement = judge([{"name": "x", "values": values}], {} if limit is None else {"x": limit}, [])
    json.dumps([check.to_json() for check in judgement.checks], allow_nan=False)
    (check,) = judgement.checks
    if check.grade is Grade.PASS:
        assert check.n_outside == 0 or limit["beyond"] == "pass"
        assert check.value is not None
