"""expert_config: merged, and checked by a schema that is given or derived."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b2cal.model import Definition
from b2cal.releases import config_problems, merged_config
from b2cal.releases.schema import schema_from_defaults, schema_problem, with_boundaries

BELLE2 = json.loads(Path(__file__).with_name("belle2_prompt.json").read_text())["calibrations"]

DEFAULTS = {
    "min_events": 5000,
    "window": [1.8, 1.93],
    "threshold": 0.5,
    "mode": "quick",
    "fast": True,
    "boundaries": [],
    "anything": None,
    "limits": {"ecl": 1.0, "layers": [1, 2]},
}

SCALARS = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(-1e9, 1e9) | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
CONFIGS = st.dictionaries(st.text(max_size=4), VALUES, max_size=4)


def definition(defaults, schema=None, strategy="single") -> Definition:
    return Definition(
        name="Momentum scale",
        traits={"strategy": strategy},
        settings={"expert_config": defaults},
        config_schema=schema or schema_from_defaults(defaults),
    )


def problems(changes, defaults=DEFAULTS, schema=None) -> list[str]:
    it = definition(defaults, schema)
    return [str(problem) for problem in config_problems(it, merged_config(it, changes))]


@given(defaults=CONFIGS)
def test_every_default_fits_the_schema_derived_from_it(defaults):
    schema = schema_from_defaults(json.loads(json.dumps(defaults)))
    assert schema_problem(schema) is None
    assert problems({}, defaults) == []


@given(defaults=CONFIGS, key=st.text(max_size=5), value=VALUES)
def test_a_key_that_is_not_among_the_defaults_is_always_named(defaults, key, value):
    if key in defaults:
        return
    found = config_problems(definition(defaults), {**defaults, key: value})
    assert [problem.key for problem in found] == [key]
    assert found[0].message.startswith("is not known")


@pytest.mark.parametrize("facts", BELLE2, ids=[one["module"] for one in BELLE2])
def test_the_defaults_of_belle2s_scripts_fit(facts):
    assert problems({}, facts["expert_config"]) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"min_events": 1},
        {"window": [1, 2.5, 3]},
        {"window": []},
        {"boundaries": [[26, 4]]},
        {"anything": {"at": ["all"]}},
        {"limits": {"ecl": 2}},
        {"limits": {"another": "key"}},
        {"threshold": 1},
    ],
)
def test_a_change_of_the_same_types_is_allowed(changes):
    assert problems(changes) == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"min_events": "many"}, 'min_events must be a whole number, not "many".'),
        ({"min_events": 5.5}, "min_events must be a whole number, not 5.5."),
        ({"min_events": True}, "min_events must be a whole number, not true."),
        ({"min_events": None}, "min_events must be a whole number, not null."),
        ({"fast": 1}, "fast must be true or false, not 1."),
        ({"mode": ["quick"]}, 'mode must be a text, not ["quick"].'),
        ({"window": 1.8}, "window must be a list, not 1.8."),
        ({"window": [1.8, "x"]}, 'window at 1 must be a number, not "x".'),
        ({"limits": {"layers": [1, 2.5]}}, "limits at layers.1 must be a whole number, not 2.5."),
        ({"min_event": 1}, "min_event is not known; did you mean 'min_events'?"),
        (
            {"xyz": 1},
            "xyz is not known; known are anything, boundaries, fast, limits, min_events, mode, threshold, window.",
        ),
        ({"boundaries": list(range(10_001))}, "boundaries must have at most 10,000 entries, not 10,001."),
        (
            {"threshold": float("nan")},
            "expert_config holds something that JSON cannot say: NaN, infinity, or an object",
        ),
        ({"anything": {1, 2}}, "expert_config holds something that JSON cannot say: NaN, infinity, or an object"),
        ({"mode": "x" * 70_000}, "expert_config takes 70,"),
    ],
)
def test_each_problem_is_a_sentence_about_its_key(changes, sentence):
    [problem] = problems(changes)
    assert problem.startswith(sentence)


def test_all_problems_are_told_at_once_one_for_each_key():
    assert len(problems({"min_events": "a", "window": ["x", "y"], "unknown": 1})) == 3


def test_a_script_without_configuration_says_so():
    assert problems({"x": 1}, defaults={}) == ["x is not known; there is nothing to configure."]


def test_endless_nesting_is_refused_not_followed():
    deep: list = []
    for _ in range(100):
        deep = [deep]
    assert problems({"anything": deep}) == ["expert_config is nested more than 16 levels deep."]
    for _ in range(100_000):
        deep = [deep]
    assert problems({"anything": deep})[0].startswith("expert_config holds something that JSON cannot say")


def test_changes_replace_whole_values():
    it = definition(DEFAULTS)
    assert merged_config(it, {"limits": {"ecl": 2.0}})["limits"] == {"ecl": 2.0}
    assert merged_config(it, {}) == DEFAULTS


OWN = {
    "type": "object",
    "properties": {
        "degree": {"type": "integer", "minimum": 1, "maximum": 5},
        "method": {"enum": ["fast", "exact"]},
        "bins": {"type": "array", "minItems": 2},
        "name": {"type": "string", "maxLength": 3},
    },
    "required": ["degree"],
}


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"degree": 9}, "degree must be at most 5, not 9."),
        ({"degree": 0}, "degree must be at least 1, not 0."),
        ({"degree": 1, "method": "slow"}, 'method must be one of "fast", "exact", not "slow".'),
        ({"degree": 1, "bins": [1]}, "bins must have at least 2 entries, not 1."),
        ({"degree": 1, "name": "long"}, "name does not fit 'maxLength' of its schema: \"long\"."),
        ({}, "degree is missing."),
    ],
)
def test_a_schema_of_the_script_is_obeyed(config, sentence):
    found = config_problems(definition({"degree": 1}, OWN), config)
    assert [str(problem) for problem in found] == [sentence]


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ("text", "no JSON object"),
        ({"type": "integr"}, "no JSON Schema"),
        ({"properties": {"x": {"pattern": "(a+)+$"}}}, "pattern"),
        ({"properties": {"x": {"anyOf": [{"$ref": "https://example.org/schema"}]}}}, "$ref"),
        ({"allOf": [{"$ref": "#"}]}, "$ref"),
    ],
)
def test_a_schema_that_b2cal_cannot_use_is_named(schema, words):
    assert words in schema_problem(schema)


def test_a_key_called_pattern_is_only_a_name():
    assert schema_problem({"properties": {"pattern": {"type": "string"}}}) is None


@pytest.mark.parametrize(
    ("boundaries", "said"),
    [([[26, 4], [28, 0]], []), ([], []), ([[26, -4]], ["[[26, -4]]"]), ([[26]], ["[[26]]"])],
)
def test_boundaries_are_runs_where_the_class_divides_by_them(boundaries, said):
    defaults = {"payload_boundaries": [[26, 8]], "degree": 1}
    for strategy, expected in (("boundaries", said), ("single", [])):
        it = definition(defaults, strategy=strategy)
        found = config_problems(it, merged_config(it, {"payload_boundaries": boundaries}))
        sentence = "payload_boundaries must be a list of runs such as [[26, 8], [26, 12]], not {}."
        assert [str(problem) for problem in found] == [sentence.format(value) for value in expected]


def test_a_key_that_b2cal_knows_needs_no_words_of_the_script_and_its_own_words_count():
    (key, known), *_ = with_boundaries({"additionalProperties": False})["properties"].items()
    assert key == "payload_boundaries"
    assert known["type"] == "array"
    assert "[experiment, run]" in known["description"]
    for own in ({"maxItems": 3, "description": "crates"}, True):
        found = with_boundaries({"properties": {key: own, "degree": {}}})["properties"]
        assert found == {key: {**known, **own} if own is not True else True, "degree": {}}


def test_a_class_that_divides_by_boundaries_must_have_some_in_its_configuration():
    it = definition({"degree": 1}, strategy="boundaries")
    assert [problem.key for problem in config_problems(it, merged_config(it, {}))] == ["payload_boundaries"]


@given(
    changes=st.dictionaries(
        st.sampled_from([*DEFAULTS, "unknown"]),
        st.recursive(
            SCALARS | st.integers() | st.floats() | st.characters(categories=["Cs"]),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
            max_leaves=8,
        ),
    ),
    strategy=st.sampled_from(["single", "boundaries"]),
)
def test_whatever_json_is_given_fits_or_has_problems_in_words(changes, strategy):
    it = definition({**DEFAULTS, "payload_boundaries": [[26, 8]]}, strategy=strategy)
    for problem in config_problems(it, merged_config(it, {**changes, "payload_boundaries": changes.get("anything")})):
        assert str(problem)
