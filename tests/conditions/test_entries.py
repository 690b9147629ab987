"""The algebra of entries, against a dictionary run -> payload."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from b2cal.conditions import Entry, clipped, coverage_problems, effective
from b2cal.core.iov import OPEN, IoV
from tests.conditions.brute_force import a_result, an_entry, as_map, identity, runs_of

NAMES = ("Gains", "Offsets")


def iov(first: int, last: int = OPEN) -> IoV:
    return IoV.from_numbers(first, last)


def entry(first: int, last: int = OPEN, letter: str = "a", name: str = "Gains") -> Entry:
    return Entry(name, first, last, "abc".index(letter) + 1, identity(letter))


@settings(max_examples=50)
@given(st.lists(a_result(NAMES), max_size=5))
def test_later_entries_take_the_place_of_earlier_ones_run_by_run(layers: list[list[Entry]]) -> None:
    expected: dict[tuple[str, int], str] = {}
    for layer in layers:
        expected |= as_map(layer)
    assert as_map(effective([], *layers)) == expected


@settings(max_examples=50)
@given(st.lists(a_result(NAMES), max_size=5))
def test_the_effective_entries_are_sorted_and_as_few_as_possible(layers: list[list[Entry]]) -> None:
    found = effective([], *layers)
    assert found == sorted(found)
    for one, following in pairwise(found):
        joins = one.name == following.name and one.last + 1 == following.first
        assert not (joins and one.identity == following.identity)


@settings(max_examples=50)
@given(a_result(NAMES), st.lists(a_result(NAMES), max_size=3), st.randoms())
def test_the_order_inside_a_layer_does_not_matter(base: list[Entry], later: list[list[Entry]], random) -> None:
    expected = effective(base, *later)
    random.shuffle(base)
    assert effective(base, *later) == expected


@settings(max_examples=50)
@given(a_result(NAMES), an_entry())
def test_clipped_entries_are_valid_exactly_where_both_are(entries: list[Entry], range_of_runs: Entry) -> None:
    inside = set(runs_of(range_of_runs))
    expected = {key: value for key, value in as_map(entries).items() if key[1] in inside}
    assert as_map(clipped(entries, range_of_runs.iov)) == expected


@settings(max_examples=50)
@given(st.lists(an_entry(NAMES), max_size=4), an_entry())
def test_coverage_is_complete_exactly_if_each_payload_has_one_set_for_each_run_asked_for(
    entries: list[Entry], asked: Entry
) -> None:
    wanted = list(runs_of(asked))
    exact = bool(entries) and all(
        sorted(run for it in entries if it.name == name for run in runs_of(it)) == wanted
        for name in {it.name for it in entries}
    )
    assert (coverage_problems(entries, asked.iov) == []) == exact


def test_coverage_problems_name_payload_and_runs() -> None:
    found = [entry(3, 5), entry(5, 8), entry(11, 14, name="Offsets")]
    assert coverage_problems(found, iov(2, 10), names=["Gains", "Pedestals"]) == [
        "Pedestals is missing; the calibration declares it",
        "Gains has no constants for e0r2 - e0r2, which was asked for",
        "Gains has no constants for e0r9 - e0r10, which was asked for",
        "Gains has more than one set of constants for e0r5 - e0r5",
        "Offsets has no constants for e0r2 - e0r10, which was asked for",
        "Offsets is valid for e0r11 - e0r14, which reaches beyond e0r2 - e0r10, the runs asked for",
    ]


def test_an_open_request_is_not_covered_by_a_closed_interval() -> None:
    assert coverage_problems([entry(2, 10)], iov(2)) == ["Gains has no constants for e0r11 - open, which was asked for"]


def test_runs_without_data_are_covered_by_nothing() -> None:
    found = [entry(2, 5), entry(8, 10)]
    assert coverage_problems(found, iov(2, 10), without_data=[iov(6, 7)]) == []
    assert coverage_problems([entry(2, 6), *found[1:]], iov(2, 10), without_data=[iov(6, 7)]) == [
        "Gains is valid for e0r2 - e0r6, but its fit reported too few data for e0r6 - e0r7"
    ]
    assert coverage_problems(found[1:], iov(2, 10), without_data=[iov(6, 7)]) == [
        "Gains has no constants for e0r2 - e0r5, which was asked for"
    ]


def test_no_payloads_at_all_are_a_problem() -> None:
    assert coverage_problems([], iov(2)) == ["there are no payloads"]
