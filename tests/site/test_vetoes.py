"""Vetoes of a subsystem and standing ones, on the pages."""

from collections.abc import Callable

import pytest

from b2cal.model import Calibration, State

from .conftest import Browser

Find = Callable[..., Calibration]
CALORIMETER = ("Crystal energy", "Leakage", "Crystal time")


def test_a_manager_vetoes_a_subsystem_after_seeing_what_it_holds_and_who_is_affected(
    manager: Browser, expert: Browser, find: Find
) -> None:
    assert "/processings/bucket23/do/veto" in manager.get("/processings/bucket23").text
    assert "/processings/bucket23/do/veto" not in expert.get("/processings/bucket23").text
    form = manager.get("/processings/bucket23/do/veto").text
    assert "calorimeter: Crystal energy, Leakage, Crystal time" in form
    assert "muon: " not in form  # its only calibration is vetoed
    answer = manager.post("/processings/bucket23/do/veto", seen="1", reason="crate off", subsystem="calorimeter")
    assert answer.status_code == 303
    assert "bucket23 goes on without it." in manager.get(answer.location).text
    assert {find(name).state for name in CALORIMETER} == {State.VETOED}
    again = manager.post("/processings/bucket23/do/veto", seen="1", reason="crate off", subsystem="calorimeter")
    assert again.status_code == 409
    assert "has no subsystem that could be vetoed" in again.text
    assert "/processings/bucket23/do/veto" not in manager.get("/processings/bucket23").text


@pytest.mark.parametrize(
    ("fields", "status", "why"),
    [
        ({"reason": " ", "subsystem": "calorimeter"}, 422, "Veto needs a reason."),
        ({"reason": "off", "subsystem": "roof"}, 404, "nothing of the subsystem"),
        ({"reason": "off", "subsystem": "calorimeter", "fallback": "local-23"}, 422, "cannot stand in for"),
    ],
)
def test_a_veto_of_a_subsystem_that_cannot_be_is_refused_and_the_words_are_kept(
    manager: Browser, find: Find, fields: dict[str, str], status: int, why: str
) -> None:
    answer = manager.post("/processings/bucket23/do/veto", seen="1", **fields)
    assert answer.status_code == status
    assert why in answer.text
    assert f">{fields['reason']}</textarea>" in answer.text
    assert State.VETOED not in {find(name).state for name in CALORIMETER}


def test_a_manager_begins_and_ends_a_standing_veto(manager: Browser, expert: Browser) -> None:
    assert "/vetoes" in manager.get("/processings").text
    assert "None: every calibration takes part." in manager.get("/vetoes").text
    answer = manager.post("/vetoes", name="Leakage", reason="no <b>photons</b>")
    assert answer.status_code == 303
    page = manager.get(answer.location).text
    assert "Leakage is left out of every processing that is activated from now on." in page
    assert "“no &lt;b&gt;photons&lt;/b&gt;”" in page
    assert "Begin one" not in expert.get("/vetoes").text
    assert "no &lt;b&gt;photons" in expert.get("/vetoes").text
    answer = manager.post("/vetoes", name="Leakage", end="yes", reason="the crate is mended")
    assert "Leakage takes part again in every processing" in manager.get(answer.location).text
    assert "None: every calibration takes part." in manager.get("/vetoes").text
    ledger = expert.get("/decisions").text
    assert ledger.index("Standing veto ended") < ledger.index("Standing veto begun")
    assert "“the crate is mended”" in ledger


def test_a_standing_veto_that_cannot_be_is_refused(manager: Browser, expert: Browser) -> None:
    refused = manager.post("/vetoes", name="Leakage", reason=" ")
    assert refused.status_code == 422
    assert "needs a reason" in refused.text
    assert manager.post("/vetoes", name="nothing", reason="why").status_code == 404
    assert manager.post("/vetoes", name="Leakage", end="yes").status_code == 404
    assert expert.post("/vetoes", name="Leakage", reason="why").status_code == 403
    assert "None: every calibration takes part." in manager.get("/vetoes").text


def test_an_activated_processing_leaves_out_what_has_a_standing_veto(manager: Browser, find: Find) -> None:
    manager.post("/vetoes", name="Leakage", reason="no photons")
    answer = manager.post("/processings/bucket24/do/activate", seen="1")
    assert answer.status_code == 303, answer.text
    assert find("Leakage", "bucket24").state is State.VETOED
    assert find("Crystal time", "bucket24").state is State.OPEN
    history = manager.get(f"/calibrations/{find('Leakage', 'bucket24').id}").text
    assert "standing veto of manager since 2026-11-27: no photons" in history
