"""What holds for all pages."""

import re
from collections.abc import Callable

from flask import Flask
from sqlalchemy import select

from b2cal import loop
from b2cal.model import (
    Calibration,
    Database,
    State,
)
from b2cal.settings import Settings

from .conftest import Browser, Page
from .sample import NOW

Find = Callable[..., Calibration]


def test_every_page_of_the_sample_is_there(pages: list[Page]) -> None:
    assert {page.where: page.status for page in pages if page.status != 200} == {"/nothing-here": 404}


def test_sentences_are_those_of_the_loop(expert: Browser, database: Database) -> None:
    text = expert.get("/processings/bucket23").text
    with database.read() as db:
        view = loop.ProcessingView.of(db, "bucket23")
        for it in view.calibrations.values():
            why = loop.why(view, it, NOW)
            start = why.sentence.split(why.calibration)[0] if why.calibration else why.sentence
            assert start in text, it.name


def test_buttons_are_those_of_the_loop(manager: Browser, database: Database) -> None:
    with database.read() as db:
        one_of_each = {it.state: it for it in db.scalars(select(Calibration).order_by(Calibration.id))}
        assert set(one_of_each) == set(State)
        for it in one_of_each.values():
            buttons = {
                button.verb.value for button in loop.buttons(loop.ProcessingView(db, it.processing_id), it, "manager")
            }
            text = manager.get(f"/calibrations/{it.id}").text
            shown = {verb for verb in loop.Verb if f'/calibrations/{it.id}/do/{verb.value}"' in text}
            shown |= {"submit"} if f'action="/calibrations/{it.id}/submit"' in text else set()
            assert shown == buttons, it.name


def test_managers_are_told_the_command_that_begins_something_and_experts_are_not(
    manager: Browser, expert: Browser
) -> None:
    for page, command in (("/processings", "processing create"), ("/tags", "tag create"), ("/data", "data scan")):
        found = re.search(r"New: <code>b2cal (.*?)</code>", manager.get(page).text)
        assert found is not None
        assert found[1].startswith(command)
        assert "New: <code>" not in expert.get(page).text


def test_times_are_in_the_readers_zone_with_its_name(expert: Browser) -> None:
    assert "as of" in expert.get("/").text
    assert "03:40 UTC" in expert.get("/").text
    expert.post("/preferences", zone="Asia/Tokyo", theme="dark", next="/processings")
    text = expert.get("/processings/bucket23").text
    assert "12:40 JST" in text
    assert 'datetime="2026-11-27T03:40:00+00:00"' in text
    assert 'data-theme="dark"' in text
    expert.client.set_cookie("zone", "Nowhere/Land")
    assert "03:40 UTC" in expert.get("/").text


def test_a_page_renews_only_the_part_that_changed(expert: Browser, manager: Browser, find: Find) -> None:
    text = expert.get("/processings/bucket23").text
    seen = text.split("seen=")[1].split('"')[0]
    headers = {"HX-Request": "true"}
    assert expert.get(f"/processings/bucket23?seen={seen}", headers=headers).status_code == 204
    it = find("x-t relation")
    manager.post(f"/calibrations/{it.id}/do/sign_off", seen=str(it.version))
    renewed = expert.get(f"/processings/bucket23?seen={seen}", headers=headers)
    assert renewed.status_code == 200
    assert "<html" not in renewed.text
    assert renewed.text.lstrip().startswith('<div id="live"')
    assert "4 of 4" in renewed.text


def test_whoever_asks_for_news_after_the_visit_is_told_so(anonymous: Browser) -> None:
    assert anonymous.get("/processings/bucket23", headers={"HX-Request": "true"}).status_code == 401


def test_a_fault_of_ours_shows_a_reference_and_no_traceback(app: Flask, expert: Browser) -> None:
    app.extensions["b2cal"].workplace.settings.__dict__["home"] = None  # nothing works without it
    answer = expert.get("/result")
    assert answer.status_code == 500
    assert "This is a fault of b2cal." in answer.text
    assert "reference" in answer.text
    assert "Traceback" not in answer.text


def test_with_a_damaged_database_the_site_says_so(app: Flask, expert: Browser, settings: Settings) -> None:
    app.extensions["b2cal"].database.dispose()
    for leftover in settings.home.glob("b2cal.db*"):
        leftover.unlink()
    settings.folder("b2cal.db").write_bytes(b"no database" * 1000)
    answer = expert.get("/processings")
    assert answer.status_code == 503
    assert "its file may be damaged" in answer.text


def test_without_its_database_the_site_says_so(app: Flask, expert: Browser, settings: Settings) -> None:
    app.extensions["b2cal"].database.dispose()
    settings.folder("b2cal.db").rename(settings.folder("gone"))
    settings.folder("b2cal.db").mkdir()
    answer = expert.get("/processings")
    assert answer.status_code == 503
    assert "The calibration database does not answer." in answer.text
    assert expert.get("/health").status_code == 503


def test_health_is_for_everybody(anonymous: Browser) -> None:
    answer = anonymous.get("/health")
    assert answer.status_code == 200
    assert answer.json == {"status": "ok", "time": NOW.isoformat()}


def test_states_have_a_shape_and_a_word_each() -> None:
    from b2cal.site import looks

    assert set(looks.CALIBRATION) == set(State)
    for table in (looks.CALIBRATION, looks.JOB, looks.GRADE, looks.PROCESSING):
        assert len({look.shape for look in table.values()}) == len(table)
        assert len({look.word for look in table.values()}) == len(table)
