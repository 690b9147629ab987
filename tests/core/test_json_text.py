"""JSON from people: a value, or a ValueError that says why there is none."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b2cal.core.json_text import MOST_LEVELS, levels, parsed

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(VALUES)
def test_every_value_comes_out_as_it_was_written(value):
    assert parsed(json.dumps(value)) == value


@given(st.text() | st.text(alphabet='[]{},:"1e-truefalsnNaIity ') | st.from_regex(r"([\[{]|\{\"a\":){0,200}"))
def test_whatever_is_typed_gives_a_value_or_is_none(text):
    with suppress(ValueError):
        assert levels(parsed(text)) <= MOST_LEVELS


@pytest.mark.parametrize("depth", [MOST_LEVELS + 1, 900, 5_000, 200_000])
@pytest.mark.parametrize("begin", ["[", '{"a":'])
def test_what_nobody_nests_so_deep_is_refused(begin, depth):
    end = {"[": "]", '{"a":': "}"}[begin]
    with pytest.raises(ValueError, match="levels deep"):
        parsed(begin * depth + "1" + end * depth)


def test_levels_are_those_of_lists_and_objects():
    assert [levels(value) for value in (1, "[[", [], [1, [2]], {"a": [{}]})] == [0, 0, 1, 2, 3]
