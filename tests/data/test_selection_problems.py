"""What is wrong with a selection, before it is stored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b2cal.core.iov import ExpRun, IoV
from b2cal.data import Selection, default_selection, selection_problems
from tests.data.catalogues import VOCABULARY

SETTINGS = {"input_data_names": ["bhabha", "cosmic"], "input_data_filters": {"bhabha": ["Good"], "cosmic": ["On"]}}
RUNS = IoV(ExpRun(26, 180), ExpRun(26, 190))
GOOD = {"bhabha": ["Good", "NOT beam"], "cosmic": []}


@pytest.mark.parametrize(
    "selection",
    [
        default_selection(SETTINGS),
        {"filters": GOOD},
        {"filters": GOOD, "exclude": ["e26r180", "26/181", "26:182"], "only": ["e26r183"]},
        {"filters": GOOD, "only": None},
    ],
)
def test_a_good_selection_has_no_problems(selection):
    assert selection_problems(VOCABULARY, SETTINGS, selection, RUNS) == []


@pytest.mark.parametrize(
    ("selection", "sentence"),
    [
        (
            {"filters": GOOD, "exclude": ["e26r99", "e26r185"], "only": ["e26r191"]},
            "The runs of the processing are e26r180 - e26r190; not among them: e26r99, e26r191.",
        ),
        ({"filter": GOOD}, "A selection has no filter; it has filters, exclude, only."),
        ({"filters": {}}, "No filters are given for bhabha, cosmic: the manager must give a selection."),
        ({}, "No filters are given for bhabha, cosmic: the manager must give a selection."),
        ({"filters": {"bhabha": []}}, "The filters are for bhabha, but the calibration reads bhabha, cosmic."),
        ({"filters": ["Good"]}, "The filters of a selection are a list of texts for each data name."),
        ({"filters": {**GOOD, "cosmic": "Good"}}, "The filters of a selection are a list of texts for each data name."),
        (
            {"filters": {**GOOD, "cosmic": ["Goood"]}},
            "cosmic asks for 'Goood', which is no filter of this release; did you mean 'Good'?",
        ),
        ({"filters": {**GOOD, "cosmic": ["On", "NOT On"]}}, "cosmic asks for 'On' and for its opposite."),
        ({"filters": GOOD, "exclude": "e26r180"}, "exclude must be a list of runs such as e26r180."),
        ({"filters": GOOD, "exclude": ["180"]}, "exclude: '180' is not a run. Write it as e26r180, 26/180 or 26:180."),
        ({"filters": GOOD, "only": []}, "No run is left: those in only are none, or all of them stand in exclude."),
        (
            {"filters": GOOD, "only": ["e26r181"], "exclude": ["26/181"]},
            "No run is left: those in only are none, or all of them stand in exclude.",
        ),
    ],
)
def test_each_problem_is_a_sentence(selection, sentence):
    assert selection_problems(VOCABULARY, SETTINGS, selection, RUNS) == [sentence]


def test_all_problems_are_told_at_once():
    selection = {"filters": {"bhabha": ["x", "y"], "cosmic": []}, "only": []}
    assert len(selection_problems(VOCABULARY, SETTINGS, selection, RUNS)) == 3


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["e26r180", "Good", "On"])
)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
NEARLY = st.fixed_dictionaries(
    {},
    optional={
        "filters": JSON | st.dictionaries(st.sampled_from(["bhabha", "cosmic"]), JSON | st.lists(SCALARS)),
        "exclude": JSON | st.lists(SCALARS),
        "only": JSON | st.lists(SCALARS),
    },
)


@given(JSON | NEARLY)
def test_whatever_json_is_given_is_a_selection_or_has_problems_in_words(selection):
    problems = selection_problems(VOCABULARY, SETTINGS, selection, RUNS)
    assert all(isinstance(problem, str) and problem for problem in problems)
    if not problems:
        Selection.from_json(selection)


@pytest.mark.parametrize("selection", [None, 5, [1], "e26r180", True])
def test_what_is_no_object_is_no_selection(selection):
    (problem,) = selection_problems(VOCABULARY, SETTINGS, selection, RUNS)
    assert problem == "A selection is an object with filters, exclude, only."
