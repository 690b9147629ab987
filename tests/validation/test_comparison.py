"""The scale of changes: drifts pass, jumps do not, whatever the unit."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from b2cal.calibration import Payload
from b2cal.core.iov import ExpRun, IoV
from b2cal.validation.comparison import LIMIT, MANY, Manner, compare, compare_payloads, errors

ANY = IoV(ExpRun(0, 0), None)
seeds = st.integers(0, 2**32 - 1)
units = st.floats(1e-9, 1e9)


def payload(values: dict[str, Any], covariance: Any = None) -> Payload:
    return Payload("Gains", ANY, values, covariance)


@given(seed=seeds, n=st.integers(MANY, 3000), drift=st.floats(0, 3.0), common=st.floats(-0.15, 0.15), unit=units)
def test_a_drift_that_all_channels_share_passes_whatever_its_size(
    seed: int, n: int, drift: float, common: float, unit: float
) -> None:
    rng = np.random.default_rng(seed)
    previous = rng.normal(1.0, 0.1, n)
    new = previous + common + drift * rng.normal(0, 1, n) / (1 + 30 * drift / np.sqrt(n))
    found = compare(unit * new, unit * previous)
    assert np.max(np.abs(found.own)) < LIMIT


@given(seed=seeds, n=st.integers(MANY, 500), unit=units, sign=st.sampled_from([-1, 1]))
def test_a_channel_that_jumps_alone_is_red_in_every_unit(seed: int, n: int, unit: float, sign: int) -> None:
    rng = np.random.default_rng(seed)
    previous = rng.normal(0, 5.0, n)
    new = previous + rng.normal(0.3, 0.1, n)
    new[n // 3] += sign * 10
    found = compare(unit * new, unit * previous)
    assert np.flatnonzero(np.abs(found.own) > LIMIT).tolist() == [n // 3]


@given(seed=seeds, n=st.integers(1, 200), unit=units)
def test_the_unit_of_constants_does_not_matter(seed: int, n: int, unit: float) -> None:
    rng = np.random.default_rng(seed)
    previous, error = rng.normal(1, 1, n), rng.uniform(0.01, 0.1, n)
    new = previous + rng.normal(0, 0.1, n)
    one, other = compare(new, previous, error), compare(unit * new, unit * previous, unit * error)
    np.testing.assert_allclose(one.own, other.own, rtol=1e-6, atol=1e-9)
    assert (one.common is None) == (other.common is None)


@given(seed=seeds, n=st.integers(1, 100))
def test_the_order_of_channels_does_not_matter(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    previous, order = rng.normal(1, 1, n), rng.permutation(n)
    new = previous + rng.normal(0, 0.1, n)
    np.testing.assert_allclose(compare(new, previous).own[order], compare(new[order], previous[order]).own, atol=1e-12)


def test_a_common_jump_of_all_channels_is_seen_although_no_channel_is_unlike_the_others() -> None:
    previous = np.random.default_rng(1).normal(1, 0.05, 300)
    found = compare(1.5 * previous, previous)
    assert found.common is not None
    assert found.common > LIMIT
    assert np.max(np.abs(found.own)) < LIMIT


def test_a_change_within_its_statistical_error_passes_however_large_it_is() -> None:
    previous = np.random.default_rng(1).normal(1, 0.05, 300)
    new = previous.copy()
    new[7] += 3.0
    poor = np.full(300, 0.001)
    poor[7] = 2.0
    assert abs(compare(new, previous).own[7]) > LIMIT
    assert abs(compare(new, previous, poor).own[7]) < LIMIT


def test_channels_that_stayed_as_they_were_do_not_hide_the_drift_of_the_others() -> None:
    rng = np.random.default_rng(1)
    previous = rng.normal(1, 0.05, 300)
    new = previous.copy()
    new[:40] += rng.normal(0, 0.03, 40)
    found = compare(new, previous)
    assert np.max(np.abs(found.own)) < LIMIT
    assert not found.own[40:].any()


def test_equal_constants_have_not_changed() -> None:
    values = np.linspace(1, 2, 30)
    found = compare(values, values)
    assert not found.own.any()
    assert found.common is None


@pytest.mark.parametrize(
    "nominal", [np.zeros(30), np.ones(30), np.zeros(1), np.zeros((3, 4))], ids=["zeros", "ones", "zero", "zeros, 2-d"]
)
def test_nothing_is_said_where_the_previous_constants_are_nominal(nominal: np.ndarray[Any, Any]) -> None:
    new = nominal + np.random.default_rng(1).normal(5, 3, nominal.shape)
    assert compare(new, nominal).manner is Manner.NOMINAL


def test_a_single_number_that_is_not_zero_is_no_nominal_one() -> None:
    assert compare(np.array([1.3]), np.array([1.0])).manner is Manner.NUMBERS


def test_flags_are_counted_and_integers_with_many_values_are_numbers() -> None:
    rng = np.random.default_rng(1)
    status, adc = rng.integers(0, 3, 100), rng.integers(0, 1000, 100)
    assert compare(status, status).manner is Manner.FLAGS
    assert compare(adc, adc).manner is Manner.NUMBERS
    changed = status.copy()
    changed[:7] += 1
    assert compare(changed, status).own.sum() == 7


def test_how_many_events_there_were_is_no_constant() -> None:
    assert compare(np.array([1200]), np.array([400])).manner is Manner.COUNTS


def test_flags_of_a_payload_whose_numbers_are_all_nominal_say_nothing() -> None:
    seen = np.ones(30, dtype=bool)
    offsets = np.random.default_rng(1).normal(0, 1, 30)
    nominal = compare_payloads(
        payload({"offset": offsets, "measured": seen}), payload({"offset": np.zeros(30), "measured": ~seen})
    )
    assert {it.manner for it in nominal.values()} == {Manner.NOMINAL}
    real = compare_payloads(
        payload({"offset": offsets + 1, "measured": seen}), payload({"offset": offsets, "measured": ~seen})
    )
    assert real["measured"].own.all()


def test_errors_come_from_one_matrix_for_all_values_in_the_order_of_their_keys() -> None:
    values = {"b": np.zeros((2, 2)), "a": np.zeros(3), "measured": np.zeros(3, dtype=bool)}
    found = errors(payload(values, np.diag(np.arange(1, 8) ** 2.0)))
    assert found["a"].tolist() == [1, 2, 3]
    assert found["b"].tolist() == [[4, 5], [6, 7]]
    assert "measured" not in found


def test_errors_come_from_one_matrix_for_each_channel() -> None:
    values = {"noise": np.zeros(3), "pedestal": np.zeros(3)}
    covariance = np.array([np.diag([i**2, (10 * i) ** 2]) for i in (1.0, 2.0, 3.0)])
    found = errors(payload(values, covariance))
    assert found["noise"].tolist() == [1, 2, 3]
    assert found["pedestal"].tolist() == [10, 20, 30]


@pytest.mark.parametrize("covariance", [None, np.eye(5), np.ones((3, 2, 2))])
def test_a_covariance_that_fits_nothing_gives_no_errors(covariance: Any) -> None:
    assert errors(payload({"gain": np.ones(4)}, covariance)) == {}
