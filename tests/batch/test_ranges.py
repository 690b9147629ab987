"""Numbers of jobs in few words."""

from hypothesis import given
from hypothesis import strategies as st

from b2cal.batch.ranges import from_ranges, in_ranges


@given(st.lists(st.integers(0, 30)))
def test_numbers_come_back_in_their_order(numbers: list[int]) -> None:
    assert from_ranges(in_ranges(numbers)) == numbers


def test_ten_thousand_jobs_take_one_word() -> None:
    assert in_ranges(range(10_000)) == ["0-9999"]
    assert in_ranges([3, 7, 12, 13, 14, 5]) == ["3", "7", "12-14", "5"]
