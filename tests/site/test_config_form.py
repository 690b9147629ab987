"""The form for an expert_config."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b2cal.site.config_form import entered, fields, shown, texts_of

values = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=80),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}


def schema_of(defaults: dict[str, Any]) -> dict[str, Any]:
    return {"properties": {key: {"type": TYPES[type(value)]} for key, value in defaults.items()}}


@given(st.dictionaries(st.text(min_size=1, max_size=8), values, max_size=5))
def test_a_form_sent_back_untouched_changes_nothing(defaults: dict[str, Any]) -> None:
    schema = schema_of(defaults)
    form = fields(schema, defaults, {}, {}, {})
    assert not any(field.changed for field in form)
    # What browsers do to line ends in a text area is no change.
    sent = {field.key: field.text.replace("\n", "\r\n") for field in form if "\r" not in field.text}
    assert entered(schema, defaults, sent).changes == {}


@given(values, values)
def test_a_value_typed_in_comes_out_as_it_is(default: Any, value: Any) -> None:
    result = entered(schema_of({"key": value}), {"key": default}, {"key": shown(value)})
    assert result.problems == {}
    merged = result.changes.get("key", default)
    assert json.dumps(merged) == json.dumps(value) or (merged == value and not differ_in_kind(merged, value))


def differ_in_kind(a: Any, b: Any) -> bool:
    """Whether a boolean stands where the other has a number."""
    if isinstance(a, list) and isinstance(b, list):
        return any(differ_in_kind(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict) and isinstance(b, dict):
        return any(differ_in_kind(a[key], b[key]) for key in a)
    return isinstance(a, bool) != isinstance(b, bool)


def test_a_text_that_is_no_number_is_kept_and_explained() -> None:
    defaults = {"min_candidates": 5000}
    result = entered(schema_of(defaults), defaults, {"min_candidates": "lots"})
    assert result.changes == {}
    assert "whole number" in result.problems["min_candidates"]
    (field,) = fields(schema_of(defaults), defaults, {}, {"min_candidates": "lots"}, result.problems)
    assert field.text == "lots"
    assert field.changed


def test_true_is_not_one() -> None:
    result = entered({"properties": {"n": {}}}, {"n": 1}, {"n": "true"})
    assert result.changes == {"n": True}


def test_the_previous_value_and_the_bounds_are_shown() -> None:
    schema = {"properties": {"n": {"type": "integer", "minimum": 1, "maximum": 9, "description": "iterations"}}}
    (field,) = fields(schema, {"n": 5}, {"n": 7}, texts_of({"n": 6}), {})
    assert (field.default, field.previous, field.text) == ("5", "7", "6")
    assert field.help == "iterations; 1 to 9"
    assert field.shape == "number"


def test_a_boolean_and_an_enumeration_are_choices() -> None:
    schema = {"properties": {"quick": {"type": "boolean"}, "mode": {"enum": ["a", "b"]}}}
    quick, mode = fields(schema, {"quick": False, "mode": "a"}, {}, {}, {})
    assert (quick.shape, quick.choices, quick.text) == ("choice", ("true", "false"), "false")
    assert (mode.shape, mode.choices) == ("choice", ("a", "b"))
    assert entered(schema, {"quick": False, "mode": "a"}, {"quick": "true", "mode": "b"}).changes == {
        "quick": True,
        "mode": "b",
    }


def test_the_example_for_a_wrong_type_is_the_default_of_the_key() -> None:
    defaults = {"min_pulses": 5, "window": [10.08, 11.08], "unchanged": False}
    texts = {"min_pulses": "many", "window": "wide", "unchanged": "perhaps"}
    assert entered(schema_of(defaults), defaults, texts).problems == {
        "min_pulses": "must be a whole number such as 5, not 'many'",
        "window": "must be a list such as [10.08, 11.08], not 'wide'",
        "unchanged": "must be true or false, not 'perhaps'",
    }


@given(
    st.sampled_from([5000, 0.5, True, "quick", [1.8, 1.93], {"a": [1]}]),
    st.text() | st.text(alphabet='[]{},:"1eE+-.NaInfity') | st.from_regex(r"([\\[{]|\\{\"a\":){0,2000}"),
)
def test_whatever_is_typed_into_the_form_comes_back_as_a_change_or_a_problem(default: Any, text: str) -> None:
    defaults = {"key": default}
    for schema in (schema_of(defaults), {}):
        result = entered(schema, defaults, {"key": text})
        (field,) = fields(schema, defaults, {}, {"key": text}, result.problems)
        assert field.text == text
        assert not (result.changes and result.problems)


@pytest.mark.parametrize("depth", [900, 100_000])
def test_a_text_of_brackets_is_no_list(depth: int) -> None:
    defaults = {"window": [1.8, 1.93]}
    result = entered(schema_of(defaults), defaults, {"window": "[" * depth + "]" * depth})
    assert "must be a list such as [1.8, 1.93]" in result.problems["window"]
