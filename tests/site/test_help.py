"""The help page: whole, and in the words that the other pages use."""

import re
from html import unescape

import pytest

from b2cal import loop
from b2cal.model import Calibration, ProcessingState, Role, State
from b2cal.site import looks

from .conftest import Browser, Page


def test_every_state_has_a_meaning_and_stands_in_the_help(expert: Browser) -> None:
    text = expert.get("/help").text
    for state in (*State, *ProcessingState):
        look = looks.CALIBRATION[state] if isinstance(state, State) else looks.PROCESSING[state]
        meaning = (loop.STATE_MEANINGS | loop.PROCESSING_MEANINGS)[state]
        assert re.search(rf'id="{state.value}"><span class="state {look.tone}">.*{look.word}</span>', text), state
        assert meaning in unescape(text), state


def test_everything_that_people_may_do_stands_in_the_help_with_who_may(expert: Browser) -> None:
    rows = re.findall(r"<tr><td><b>(.+?)</b>(.+?)</tr>", expert.get("/help").text, flags=re.DOTALL)
    by_itself = {loop.ProcessingVerb.REOPEN}  # the owners are named because their acts on a calibration do it
    rules = [r for r in (*loop.RULES, *loop.PROCESSING_RULES) if r.who != {Role.LOOP} and r.verb not in by_itself]
    assert [label for label, _ in rows] == [rule.label for rule in rules]
    for (label, rest), rule in zip(rows, rules, strict=True):
        who = re.search(r'data-label="by">(.*?)</td>', rest)
        assert who is not None
        assert {role.value for role in Role if re.search(rf"\b{role.value}\b", who[1])} == rule.who - {Role.LOOP}, label
        assert ("b2cal by itself" in who[1]) == (Role.LOOP in rule.who), label
        assert ("Needs a reason" in rest) == (rule.reason is loop.Reason.NEEDED), label


def test_every_page_leads_to_the_help(pages: list[Page]) -> None:
    assert [page.where for page in pages if 'href="/help"' not in page.text] == []


@pytest.mark.parametrize("name", ["x-t relation", "Alignment", "Muon efficiency"])
def test_the_state_of_a_calibration_leads_to_what_it_means(name: str, expert: Browser, find) -> None:
    it: Calibration = find(name)
    assert f'href="/help#{it.state.value}"' in expert.get(f"/calibrations/{it.id}").text
    assert f'id="{it.state.value}"' in expert.get("/help").text
