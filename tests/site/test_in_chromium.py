"""A walk through the site in a real Chromium: people act on its pages, with and without JavaScript."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from flask import Flask
from playwright.sync_api import Browser, expect
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from b2cal.calibration import Payload
from b2cal.core.clock import ManualClock
from b2cal.core.iov import ExpRun, IoV
from b2cal.model import Calibration, Database, Decision, State
from b2cal.settings import Settings

from .conftest import Open, serving, site_of
from .hostile import hostile, poison
from .sample import PASSWORD

pytestmark = pytest.mark.browser

Find = Callable[..., Calibration]


def test_an_expert_submits_with_a_change_then_looks_and_signs_off(visit: Open, find: Find) -> None:
    page = visit("tracking")
    item = page.get_by_role("listitem").filter(has_text="dE/dx gain")
    item.get_by_role("link", name="Change first").click()
    iterations = page.get_by_label("iterations", exact=True)
    iterations.fill("7")
    expect(page.locator("td.changed")).to_have_count(1)
    page.get_by_role("button", name="iterations: back to the default").click()
    expect(iterations).to_have_value("5")
    expect(page.locator("td.changed")).to_have_count(0)
    iterations.fill("many")
    page.get_by_role("button", name="Submit", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("must be a whole number")
    expect(page.get_by_label("iterations", exact=True)).to_have_value("many")
    page.get_by_label("iterations", exact=True).fill("7")
    page.get_by_role("button", name="Submit", exact=True).click()
    expect(page.get_by_role("status").first).to_contain_text("dE/dx gain is submitted with iterations = 7")
    assert find("dE/dx gain").state is State.SUBMITTED

    page.get_by_role("link", name="Needs me").click()
    page.get_by_role("listitem").filter(has_text="x-t relation").get_by_role("link", name="Look and decide").click()
    expect(page.get_by_role("region", name="What is to be decided")).to_contain_text("14 of 299 beyond the limit")
    expect(page.get_by_role("img", name="board shift against previous per board")).to_be_visible()
    page.get_by_label("Reason for signing off").fill("the sector is known")
    page.get_by_role("button", name="Sign off").click()
    expect(page.get_by_role("status").first).to_contain_text("x-t relation is signed off.")
    assert find("x-t relation").state is State.SIGNED_OFF


def test_a_manager_vetoes_after_reading_what_it_does(visit: Open, find: Find) -> None:
    page = visit("manager")
    page.get_by_role("link", name="Processings", exact=True).click()
    page.get_by_role("link", name="bucket23", exact=True).click()
    page.get_by_label("x-t relation: in review").click()  # in the graph
    page.get_by_role("link", name="Veto…").click()
    page.get_by_role("button", name="Veto").click()
    expect(page.get_by_label("Reason")).to_be_focused()  # the browser asks for the reason
    page.get_by_label("Reason").fill("layer 8 is off")
    page.get_by_label("What stands in for it").select_option(label="its payloads from prompt")
    page.get_by_role("button", name="Veto").click()
    expect(page.get_by_role("status").first).to_contain_text("x-t relation is vetoed.")
    assert find("x-t relation").state is State.VETOED


def test_an_expert_brings_payloads_made_by_hand(visit: Open, find: Find, tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.root" for name in ("XtRelations", "SpaceResolutions")]
    for file in files:
        Payload(file.stem, IoV(ExpRun(26, 180), None), {"a": [1.0, 2.0]}).write(file)
    page = visit("tracking")
    page.goto(f"/calibrations/{find('x-t relation').id}")
    page.get_by_role("link", name="Replace…").click()
    page.get_by_label("Files").set_input_files(files[0])
    page.get_by_label("Reason").fill("fitted by eye")
    page.get_by_role("button", name="Replace").click()
    expect(page.get_by_role("alert")).to_contain_text("SpaceResolutions is missing")
    expect(page.get_by_label("Reason")).to_have_value("fitted by eye")
    page.get_by_label("Files").set_input_files(files)
    page.get_by_role("button", name="Replace").click()
    expect(page.get_by_role("status").first).to_contain_text("x-t relation is replaced and will be judged.")
    assert find("x-t relation").state is State.VALIDATING


def test_a_conflict_is_told_in_place_and_keeps_what_was_typed(visit: Open) -> None:
    first, second = visit("tracking"), visit("manager")
    for page in (first, second):
        page.goto("/processings/bucket23")
        page.get_by_role("row").filter(has_text="x-t relation").get_by_role("link", name="Decide").click()
        page.get_by_role("link", name="Reject…").click()
        page.get_by_label("Reason").fill("too few hadrons in layer 8")
    first.get_by_role("button", name="Reject").click()
    expect(first.get_by_role("status").first).to_contain_text("was rejected")
    second.get_by_role("button", name="Reject").click()
    expect(second.get_by_role("alert")).to_contain_text("reject by tracking")
    expect(second.locator("#act")).to_contain_text("Your reason was: “too few hadrons in layer 8”")
    expect(second.get_by_role("button", name="Reject")).to_have_count(0)


def test_two_clicks_in_one_moment_do_one_thing(visit: Open, find: Find, database: Database) -> None:
    def n_decisions() -> int:
        with database.read() as db:
            return db.scalar(select(func.count()).select_from(Decision)) or 0

    before = n_decisions()
    for options in ({}, {"java_script_enabled": False}):
        page = visit("manager", **options)
        page.goto(f"/calibrations/{find('dE/dx gain').id}/do/extend")
        page.get_by_role("button", name="Extend").dblclick()
        expect(page.get_by_role("status").first).to_be_visible()
    assert n_decisions() == before + 2


def test_a_stale_window_is_told_what_changed_and_may_go_on_with_what_was_typed(visit: Open, find: Find) -> None:
    page, other = visit("tracking"), visit("manager")
    number = find("dE/dx gain").id
    page.goto(f"/calibrations/{number}/submit")
    page.get_by_label("iterations", exact=True).fill("9")
    other.goto(f"/calibrations/{number}/do/extend")
    other.get_by_role("button", name="Extend").click()
    expect(other.get_by_role("status").first).to_be_visible()
    page.get_by_role("button", name="Submit", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("extend by manager")
    expect(page.get_by_label("iterations", exact=True)).to_have_value("9")
    page.get_by_role("button", name="Submit", exact=True).click()
    expect(page.get_by_role("status").first).to_contain_text("is submitted with iterations = 9.")


def test_what_a_selection_would_take_is_told_in_place(visit: Open, find: Find) -> None:
    page = visit("tracking")
    page.goto(f"/calibrations/{find('dE/dx gain').id}/submit")
    page.get_by_label("iterations", exact=True).fill("9")
    page.get_by_role("button", name="What would it take now?").click()
    expect(page.locator("#would-take")).to_contain_text("of 412 runs")
    expect(page.get_by_label("iterations", exact=True)).to_have_value("9")
    page.get_by_label("Runs to leave out").fill("nonsense")
    page.get_by_role("button", name="What would it take now?").click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_label("Runs to leave out")).to_have_value("nonsense")
    assert find("dE/dx gain").state is State.OPEN


def test_hostile_texts_do_nothing(chromium: Browser, settings: Settings, clock: ManualClock) -> None:
    site = site_of(settings, clock)
    database: Database = site.extensions["b2cal"].database

    def unit(db: Session) -> None:
        db.execute(text("PRAGMA defer_foreign_keys = ON"))
        poison(db, settings)

    database.write(unit)
    with database.read() as db:
        numbers = [it.id for it in db.scalars(select(Calibration).where(Calibration.processing_id == 2))]
    said: list[str] = []
    with serving(site) as address:
        context = chromium.new_context(base_url=address)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("dialog", lambda dialog: (said.append("a dialog"), dialog.dismiss()))
        page.goto("/login")
        page.get_by_label("Name").fill(hostile("manager"))
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Needs me")).to_be_visible()
        pages = ["/processings", "/data", "/tags", "/decisions", f"/processings/{quote(hostile('bucket23'), safe='')}"]
        for where in [*pages, *(f"/calibrations/{number}" for number in numbers[:6]), "/jobs/1"]:
            page.goto(where)
            expect(page.get_by_role("heading").first).to_be_visible()
            assert page.locator("x-evil, img[onerror]").count() == 0, where
        context.close()
    database.dispose()
    assert said == []


def test_a_page_follows_what_others_do_and_tells_its_age(visit: Open) -> None:
    watching, acting = visit("second"), visit("tracking")
    watching.goto("/processings/bucket23")
    expect(watching.locator("#age")).to_contain_text("live · data")
    expect(watching.get_by_role("row", name="x-t relation in review")).to_be_visible()
    acting.goto("/processings/bucket23")
    acting.get_by_role("link", name="x-t relation", exact=True).first.click()
    acting.get_by_role("button", name="Sign off").click()
    expect(watching.get_by_role("row", name="x-t relation signed off")).to_be_visible(timeout=15_000)


def test_a_reason_half_written_stays_when_somebody_else_acts(visit: Open) -> None:
    writing, acting = visit("second"), visit("tracking")
    for page in (writing, acting):
        page.goto("/processings/bucket23")
        page.get_by_role("link", name="x-t relation", exact=True).first.click()
    writing.get_by_label("Reason for signing off").fill("I was just about to")
    acting.get_by_role("button", name="Sign off").click()
    expect(writing.get_by_text("Something changed on the server.")).to_be_visible(timeout=15_000)
    expect(writing.get_by_label("Reason for signing off")).to_have_value("I was just about to")


def test_the_server_gone_is_seen_on_the_page(visit: Open, app: Flask) -> None:
    page = visit("tracking")
    page.goto("/processings/bucket23")
    expect(page.locator("#age")).to_contain_text("live · data")
    page.route("**/processings/bucket23?**", lambda route: route.abort())
    expect(page.locator("#age.late")).to_contain_text("has not answered", timeout=40_000)


def test_everything_works_without_javascript(visit: Open, find: Find) -> None:
    page = visit("tracking", java_script_enabled=False)
    page.get_by_role("button", name="Submit with defaults").click()
    expect(page.get_by_role("status").first).to_contain_text("dE/dx gain is submitted")
    page.get_by_role("link", name="Needs me").click()
    page.get_by_role("link", name="Look and decide").click()
    page.get_by_role("link", name="Reject…").click()
    page.get_by_label("Reason").fill("too few hadrons")
    page.get_by_role("button", name="Reject").click()
    expect(page.get_by_role("status").first).to_contain_text("was rejected")
    page.get_by_role("link", name="Change first").click()
    page.get_by_label("max_events_hadron", exact=True).fill("99")
    page.get_by_role("button", name="max_events_hadron: back to the default").click()
    expect(page.get_by_label("max_events_hadron", exact=True)).to_have_value("12000")
    assert find("x-t relation").state is State.OPEN
    page.get_by_label("times in").select_option("Europe/Berlin")
    page.get_by_label("colours").select_option("dark")
    page.get_by_role("button", name="Set").click()
    expect(page.locator("#age")).to_contain_text("CET")
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"


def test_every_form_of_a_manager_works_without_javascript(visit: Open, find: Find) -> None:
    page = visit("manager", java_script_enabled=False)

    def send(where: str, button: str, said: str, **fields: str) -> None:
        page.goto(where)
        for label, value in fields.items():
            field = page.get_by_label(label, exact=False).first
            field.select_option(value) if label in ("New expert", "What stands in") else field.fill(value)
        page.get_by_role("button", name=button).first.click()
        expect(page.get_by_role("status").first).to_contain_text(said)

    de_dx, xt = f"/calibrations/{find('dE/dx gain').id}", f"/calibrations/{find('x-t relation').id}"
    send(f"{de_dx}/do/extend", "Extend", "may wait longer", **{"Hours more": "12"})
    send(f"{de_dx}/do/select", "Select data", "has a selection", **{"Filters for hadron": "Good"})
    send(f"{de_dx}/do/reassign", "Reassign", "is reassigned", **{"New expert": "muon"})
    send(f"{de_dx}/submit", "Submit", "is submitted with iterations = 7", iterations="7")
    send(de_dx, "Withdraw", "is open again")
    send(f"{xt}/do/veto", "Veto", "is vetoed", Reason="layer 8 is off", **{"What stands in": "prompt"})
    send(f"{xt}/do/lift", "Lift the veto", "is open again")
    send("/processings/bucket23/do/extend", "Extend the windows", "has longer windows", **{"Hours more": "6"})
    send("/processings/bucket23/do/hold", "Hold", "is held", Reason="power cut")
    send("/processings/bucket23/do/release", "Release", "goes on")
    send("/processings/bucket24/do/cancel", "Cancel", "is cancelled", Reason="wrong runs")
    page.goto("/processings/bucket23/do/hold")
    page.get_by_label("Reason").fill(" ")  # the browser takes it, b2cal does not
    page.get_by_role("button", name="Hold").click()
    expect(page.get_by_role("alert")).to_contain_text("needs a reason")
    page.get_by_text("M. Manager · manager").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
