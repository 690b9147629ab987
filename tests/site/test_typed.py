import pytest
from hypothesis import given
from hypothesis import strategies as st

from b2cal import loop
from b2cal.site.typed import listed, typed

lines = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=12).map(str.strip)


@given(st.lists(lines.filter(lambda text: text != "(empty)")))
def test_what_stands_in_the_line_of_a_form_comes_back_as_it_was(values: list[str]) -> None:
    assert listed(typed(values)) == values


@given(st.text())
def test_any_text_is_a_list_or_refused_as_a_choice(text: str) -> None:
    assert "\n" not in "".join(listed(text))


def test_people_may_type_spaces_and_lines_and_leave_gaps() -> None:
    assert listed(' Good ,, "4S, on" ,\nNOT "bad"\n(empty),') == ["Good", "4S, on", 'NOT "bad"', ""]


def test_what_is_too_long_for_a_list_is_refused() -> None:
    with pytest.raises(loop.InvalidChoice, match="no list"):
        listed("x" * 200_000)
