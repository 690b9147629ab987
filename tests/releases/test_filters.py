"""The filter vocabulary. What a list of values selects is tested with the data; here, what is wrong with a list."""

import json
from pathlib import Path

import pytest

from b2cal.releases import Asked, asked_for, filter_problems

BELLE2 = json.loads(Path(__file__).with_name("belle2_prompt.json").read_text())
VOCABULARY = BELLE2["vocabulary"]


@pytest.mark.parametrize(
    ("data_name", "filters"),
    [item for one in BELLE2["calibrations"] for item in one["input_data_filters"].items()],
)
def test_every_filter_of_belle2s_scripts_is_known(data_name, filters):
    assert filter_problems(VOCABULARY, filters) == []


def test_values_are_sorted_into_their_categories():
    assert asked_for(VOCABULARY, ["physics", "NOT random_calib", "4S", "Continuum", "", "Either"]) == [
        Asked("Beam Energy", ("4S", "Continuum", ""), ()),
        Asked("Run Type", ("physics",), ()),
        Asked("Data Tag", (), ("random_calib",)),
    ]


def test_what_is_asked_for_reads_like_a_sentence():
    assert str(Asked("Beam Energy", ("4S", ""), ("Scan",))) == "4S or (empty), not Scan"
    assert str(Asked("Run Type", (), ("cosmic", "null"))) == "not cosmic or null"


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        (["hadron_calip"], "'hadron_calip', which is no filter of this release; did you mean 'hadron_calib'?"),
        (["NOT hadron_calip"], "did you mean 'hadron_calib'?"),
        (["xyz"], "known are On, Off"),
        (["On", "NOT On"], "asks for 'On' and for its opposite"),
        (["NOT Either"], "asks for 'Either' and for its opposite"),
    ],
)
def test_a_list_that_cannot_be_meant_has_one_problem(filters, words):
    [problem] = filter_problems(VOCABULARY, filters)
    assert words in problem


def test_a_value_in_two_categories_is_a_problem_only_where_it_is_used():
    ambiguous = {"Run Type": ["cosmic", "physics"], "Data Tag": ["cosmic"]}
    assert filter_problems(ambiguous, ["physics"]) == []
    assert filter_problems(ambiguous, ["cosmic"]) == [
        "asks for 'cosmic', which may be a 'Run Type' or a 'Data Tag'; rename one of them."
    ]
