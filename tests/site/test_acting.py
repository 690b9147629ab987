"""Deciding on the pages: the verbs of the loop, with their answers."""

import re
from collections.abc import Callable

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from b2cal.model import Calibration, Database, Decision, Definition, Processing, ProcessingKind, State

from .conftest import Browser

Find = Callable[..., Calibration]


def n_decisions(database: Database) -> int:
    with database.read() as db:
        return db.scalar(select(func.count()).select_from(Decision)) or 0


def test_an_expert_signs_off_with_a_reason_and_is_told(expert: Browser, find: Find, database: Database) -> None:
    it = find("x-t relation")
    assert "You decide" in expert.get(f"/calibrations/{it.id}").text
    answer = expert.post(f"/calibrations/{it.id}/do/sign_off", seen=str(it.version), reason="sector 8 is known")
    assert answer.status_code == 303
    assert answer.location == f"/calibrations/{it.id}"
    page = expert.get(answer.location).text
    assert "x-t relation is signed off." in page
    assert "sector 8 is known" in page
    assert find("x-t relation").state is State.SIGNED_OFF
    with database.read() as db:
        latest = db.scalars(select(Decision).order_by(Decision.id.desc())).first()
    assert latest is not None
    assert (latest.actor, latest.verb, latest.reason) == ("tracking", "sign_off", "sector 8 is known")
    assert latest.seen


def test_a_reject_without_a_reason_is_refused_and_says_what_to_do(expert: Browser, find: Find) -> None:
    it = find("x-t relation")
    answer = expert.post(f"/calibrations/{it.id}/do/reject", seen=str(it.version), reason="  ")
    assert answer.status_code == 422
    assert "Reject needs a reason." in answer.text
    assert "Say in a few words why" in answer.text
    assert find("x-t relation").state is State.REVIEW


def test_the_report_of_a_rejected_attempt_can_still_be_read(expert: Browser, find: Find) -> None:
    it = find("x-t relation")
    expert.post(f"/calibrations/{it.id}/do/reject", seen=str(it.version), reason="too few hadrons")
    links = re.findall(
        rf'href="(/calibrations/{it.id}/attempts/(\d+)/report)"', expert.get(f"/calibrations/{it.id}").text
    )
    assert {number for _, number in links} == {"1", "2"}
    assert [expert.get(link).status_code for link, _ in links] == [200] * len(links)
    missing = expert.get(f"/calibrations/{it.id}/attempts/3/report")
    assert missing.status_code == 404
    assert "no report on attempt 3" in missing.text


def test_who_comes_second_is_told_who_did_what_and_keeps_her_words(
    expert: Browser, manager: Browser, find: Find
) -> None:
    it = find("x-t relation")
    manager.post(f"/calibrations/{it.id}/do/reject", seen=str(it.version), reason="wait for more cosmics")
    answer = expert.post(f"/calibrations/{it.id}/do/reject", seen=str(it.version), reason="my long reason")
    assert answer.status_code == 409
    assert "reject by manager" in answer.text
    assert "my long reason" in answer.text
    assert find("x-t relation").state is State.OPEN


def test_a_conflict_reaches_htmx_as_the_part_that_it_replaces(expert: Browser, manager: Browser, find: Find) -> None:
    it = find("x-t relation")
    manager.post(f"/calibrations/{it.id}/do/reject", seen=str(it.version), reason="no")
    answer = expert.post(
        f"/calibrations/{it.id}/do/reject", headers={"HX-Request": "true"}, seen=str(it.version), reason="mine"
    )
    assert answer.status_code == 409
    assert 'id="act"' in answer.text


def test_the_same_form_sent_twice_acts_once(expert: Browser, find: Find, database: Database) -> None:
    it = find("x-t relation")
    fields = {"seen": str(it.version), "reason": "fine"}
    before = n_decisions(database)
    first = expert.post(f"/calibrations/{it.id}/do/sign_off", **fields)
    second = expert.post(f"/calibrations/{it.id}/do/sign_off", **fields)
    assert first.status_code == second.status_code == 303
    assert n_decisions(database) == before + 1
    assert "done already" in expert.get(second.location).text


def test_the_same_form_filled_in_differently_is_no_second_click(manager: Browser, find: Find) -> None:
    it = find("dE/dx gain")
    address, seen = f"/calibrations/{it.id}/do/extend", str(it.version)
    assert manager.post(address, seen=seen, hours="24").status_code == 303
    once = find("dE/dx gain").window_ends_at
    stale = manager.post(address, seen=seen, hours="48", reason="the storage is away")
    assert stale.status_code == 409
    assert "extend by manager" in stale.text
    assert "the storage is away" in stale.text
    assert 'value="48"' in stale.text
    assert find("dE/dx gain").window_ends_at == once


def test_a_form_says_how_things_stand_before_they_change(manager: Browser, find: Find) -> None:
    text = manager.get(f"/calibrations/{find('x-t relation').id}/do/reject").text
    assert "board shift against previous is beyond its limit" in text
    assert (
        "Now: 2 of 16 calibrations finished; 30 jobs running, 60 queued."
        in manager.get("/processings/proc12-chunk3/do/cancel").text
    )


def test_htmx_is_sent_to_the_page_to_go_on_with(expert: Browser, find: Find) -> None:
    it = find("x-t relation")
    answer = expert.post(f"/calibrations/{it.id}/do/sign_off", headers={"HX-Request": "true"}, seen=str(it.version))
    assert answer.status_code == 200
    assert answer.headers["HX-Redirect"] == f"/calibrations/{it.id}"


def test_an_expert_cannot_act_on_what_is_not_hers(
    signed_in: Callable[[str], Browser], find: Find, database: Database
) -> None:
    muon, it = signed_in("muon"), find("x-t relation")
    before = n_decisions(database)
    for verb in ("sign_off", "reject", "restart", "veto", "withdraw", "reassign", "extend", "select", "keep", "lift"):
        answer = muon.post(f"/calibrations/{it.id}/do/{verb}", seen=str(it.version), reason="because", hours="1")
        assert answer.status_code == 403, verb
        assert "not responsible" in answer.text, verb
    assert muon.post(f"/calibrations/{it.id}/submit", seen=str(it.version)).status_code == 403
    assert n_decisions(database) == before
    page = muon.get(f"/calibrations/{it.id}").text
    assert "E. Expert decides" in page
    assert "/do/" not in page


def test_a_deputy_may_act(signed_in: Callable[[str], Browser], find: Find) -> None:
    it = find("x-t relation")
    answer = signed_in("second").post(f"/calibrations/{it.id}/do/sign_off", seen=str(it.version))
    assert answer.status_code == 303


def test_an_expert_has_no_button_for_what_is_the_managers(expert: Browser, manager: Browser, find: Find) -> None:
    it = find("x-t relation")
    assert "Veto" not in expert.get(f"/calibrations/{it.id}").text
    assert "Veto…" in manager.get(f"/calibrations/{it.id}").text
    answer = expert.post(f"/calibrations/{it.id}/do/veto", seen=str(it.version), reason="no data")
    assert answer.status_code == 403
    assert "It is for: manager" in answer.text


@pytest.mark.parametrize(("name", "processing"), [("x-t relation", "bucket23"), ("Crystal energy", "proc12-chunk3")])
def test_the_form_of_a_veto_says_what_is_published_with_either_choice(
    manager: Browser, find: Find, name: str, processing: str
) -> None:
    it = find(name, processing)
    with manager.client.application.extensions["b2cal"].database.read() as db:
        row = db.scalars(select(Processing).where(Processing.name == processing)).one()
        target, is_prompt = row.target_tag.name, row.kind is ProcessingKind.PROMPT
    form = manager.get(f"/calibrations/{it.id}/do/veto").text
    assert f"With the constants of the base nothing of it is published: what {target} holds" in form
    assert f"Payloads from a tag are published into {target}" in form
    assert ("the last of them stay open" in form) is is_prompt


def test_a_manager_vetoes_with_a_fallback_after_seeing_who_is_affected(manager: Browser, find: Find) -> None:
    it = find("Time offsets")
    form = manager.get(f"/calibrations/{it.id}/do/veto").text
    assert "x-t relation (in review)" in form
    assert "its payloads from prompt" in form
    assert "its payloads from local-23" not in form  # it holds others
    answer = manager.post(f"/calibrations/{it.id}/do/veto", seen=str(it.version), reason="crate off", fallback="prompt")
    assert answer.status_code == 303
    now = find("Time offsets")
    assert now.state is State.VETOED
    assert now.fallback_tag_id is not None
    assert (
        "in doubt" in manager.get("/processings/bucket23").text or "stale" in manager.get("/processings/bucket23").text
    )


def test_a_manager_reassigns_and_extends(manager: Browser, find: Find) -> None:
    it = find("dE/dx gain")
    assert manager.post(f"/calibrations/{it.id}/do/extend", seen=str(it.version), hours="12").status_code == 303
    later = find("dE/dx gain")
    assert later.window_ends_at is not None
    assert it.window_ends_at is not None
    assert (later.window_ends_at - it.window_ends_at).total_seconds() == 12 * 3600
    answer = manager.post(f"/calibrations/{it.id}/do/reassign", seen=str(later.version), expert="muon")
    assert answer.status_code == 303
    assert find("dE/dx gain").expert == "muon"


@pytest.mark.parametrize("hours", ["soon", "", "-3", "nan", "1e9"])
def test_hours_that_are_none_are_refused_and_kept(manager: Browser, find: Find, hours: str) -> None:
    it = find("dE/dx gain")
    answer = manager.post(f"/calibrations/{it.id}/do/extend", seen=str(it.version), hours=hours)
    assert answer.status_code == 422
    if hours:
        assert f'value="{hours}"' in answer.text
    assert find("dE/dx gain").window_ends_at == it.window_ends_at


def test_a_form_that_does_not_say_what_was_seen_does_nothing(manager: Browser, find: Find) -> None:
    it = find("x-t relation")
    answer = manager.post(f"/calibrations/{it.id}/do/sign_off", reason="fine")
    assert answer.status_code == 409
    assert find("x-t relation").state is State.REVIEW


@pytest.mark.parametrize("verb", ["ended", "judged", "start", "submit", "explode"])
def test_what_is_not_for_people_is_not_found(manager: Browser, find: Find, verb: str) -> None:
    it = find("x-t relation")
    assert manager.get(f"/calibrations/{it.id}/do/{verb}").status_code == 404
    assert manager.post(f"/calibrations/{it.id}/do/{verb}", seen=str(it.version)).status_code == 404


def test_a_manager_holds_releases_and_extends_a_processing(manager: Browser, database: Database, find: Find) -> None:
    def now() -> Processing:
        with database.read() as db:
            return db.scalars(select(Processing).where(Processing.name == "bucket23")).one()

    ends = find("Crystal time").window_ends_at
    assert manager.post("/processings/bucket23/do/extend", seen=str(now().version), hours="6").status_code == 303
    later = find("Crystal time").window_ends_at
    assert ends is not None
    assert later is not None
    assert (later - ends).total_seconds() == 6 * 3600
    held = manager.post("/processings/bucket23/do/hold", seen=str(now().version), reason="power cut")
    assert held.status_code == 303
    assert now().held
    assert "held" in manager.get("/processings/bucket23").text
    assert manager.post("/processings/bucket23/do/release", seen=str(now().version)).status_code == 303
    assert not now().held


def test_a_fallback_that_has_no_such_payloads_is_refused_and_kept(manager: Browser, find: Find) -> None:
    it = find("Time offsets")
    answer = manager.post(
        f"/calibrations/{it.id}/do/veto", seen=str(it.version), reason="crate off", fallback="local-23"
    )
    assert answer.status_code == 422
    assert "cannot stand in for Time offsets" in answer.text
    assert '<option value="local-23" selected>' in answer.text
    assert find("Time offsets").state is State.SIGNED_OFF


def test_windows_are_extended_once_by_each_form(manager: Browser, find: Find) -> None:
    def extended_by(once: str) -> float:
        before = find("Crystal time").window_ends_at
        manager.post("/processings/bucket23/do/extend", seen="1", hours="6", once=once)
        after = find("Crystal time").window_ends_at
        assert before is not None
        assert after is not None
        return (after - before).total_seconds() / 3600

    assert 'name="once" value="' in manager.get("/processings/bucket23/do/extend").text
    assert [extended_by(form) for form in ("first", "first", "second")] == [6, 0, 6]


def test_windows_that_are_over_meanwhile_are_not_said_to_be_longer(
    manager: Browser, database: Database, find: Find
) -> None:
    def over(db: Session) -> None:
        its = select(Calibration).join(Processing).where(Processing.name == "bucket23", Calibration.state == State.OPEN)
        for it in db.scalars(its):
            it.state = State.SUBMITTED

    database.write(over)
    before = n_decisions(database)
    answer = manager.post("/processings/bucket23/do/extend", seen="1", hours="6", once="late", reason="my words")
    assert answer.status_code == 409
    assert "No calibration of bucket23 is open." in answer.text
    assert "my words" in answer.text
    assert n_decisions(database) == before


def test_a_subsystem_of_a_published_processing_is_not_vetoed(manager: Browser, database: Database) -> None:
    before = n_decisions(database)
    answer = manager.post("/processings/bucket22/do/veto", seen="1", subsystem="tracker", once="late", reason="off")
    assert answer.status_code == 409
    assert answer.text.count("bucket22 is published: nothing in it can be changed.") == 1
    assert n_decisions(database) == before


def test_publishing_too_early_says_what_is_missing(manager: Browser, database: Database) -> None:
    with database.read() as db:
        version = db.scalars(select(Processing.version).where(Processing.name == "bucket23")).one()
    answer = manager.post("/processings/bucket23/do/publish", seen=str(version))
    assert answer.status_code == 409
    assert "are not finished" in answer.text


def test_a_refusal_does_not_hide_what_is_in_the_way_unless_it_says_the_same(
    expert: Browser, manager: Browser, find: Find
) -> None:
    it = find("x-t relation")
    unseen = manager.post(f"/calibrations/{it.id}/do/lift", reason="the crate is back")
    assert "The form does not say what was seen." in unseen.text
    assert "Not possible: x-t relation is " in unseen.text
    assert "is possible while it is vetoed" in unseen.text

    address = f"/calibrations/{it.id}/do/veto"
    refused = expert.post(address, seen=str(it.version), reason="no data").text
    assert refused.count("The expert may not veto.") == 1
    assert "Not possible:" not in refused
    assert "Your reason was: “no data”" in refused


def test_an_expert_cannot_act_on_a_processing(expert: Browser) -> None:
    assert expert.post("/processings/bucket23/do/cancel", seen="1", reason="no").status_code == 403


def test_an_expert_names_a_deputy_for_whom_it_then_waits_too_and_takes_her_away_again(
    expert: Browser, signed_in: Callable[[str], Browser], find: Find
) -> None:
    muon, it = signed_in("muon"), find("x-t relation")
    assert "x-t relation" not in muon.get("/").text
    form = expert.get(f"/calibrations/{it.id}/do/name_deputy").text
    assert "It is second now." in form
    assert '<option value="muon">K. Muon (muon)</option>' in form
    answer = expert.post(f"/calibrations/{it.id}/do/name_deputy", seen=str(it.version), deputy="muon", reason="leave")
    assert answer.status_code == 303
    assert "x-t relation has another deputy." in expert.get(answer.location).text
    assert "x-t relation" in muon.get("/").text
    assert "You decide" in muon.get(f"/calibrations/{it.id}").text
    assert f"/calibrations/{it.id}/do/name_deputy" not in muon.get(f"/calibrations/{it.id}").text
    now = find("x-t relation")
    expert.post(f"/calibrations/{it.id}/do/name_deputy", seen=str(now.version), deputy="")
    assert find("x-t relation").deputy is None
    assert "x-t relation" not in muon.get("/").text


def test_what_cannot_be_done_says_what_is_in_the_way_and_has_no_form(
    expert: Browser, manager: Browser, find: Find
) -> None:
    xt = find("x-t relation").id
    for browser, address, said in (
        (expert, f"/calibrations/{xt}/do/veto", "The expert may not veto."),
        (expert, f"/calibrations/{xt}/do/lift", "It is for: manager."),
        (manager, f"/calibrations/{xt}/do/extend", "&#34;Extend&#34; is possible while it is open."),
        (manager, f"/calibrations/{xt}/do/lift", "&#34;Lift the veto&#34; is possible while it is vetoed."),
        (manager, "/processings/bucket23/do/release", "bucket23 is not held."),
        (manager, "/processings/bucket23/do/activate", "&#34;Activate&#34; is possible while it is planned."),
        (manager, "/processings/bucket22/do/veto", "bucket22 is published: nothing in it can be changed."),
        (manager, "/processings/bucket22/do/extend", "Corrections go into an empty tag"),
    ):
        page = browser.get(address).text
        assert "Not possible:" in page, address
        assert said in page, address
        assert '<form class="panel"' not in page, address
        assert "Put in doubt by it" not in page, address


def test_a_processing_without_room_for_what_it_writes_is_activated_only_with_a_reason(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("B2CAL_DATA__PAYLOAD_BYTES", str(10**18))
    manager: Browser = request.getfixturevalue("manager")
    address = "/processings/bucket24/do/activate"
    form = manager.get(address).text
    assert "✕ Too little room" in form
    assert re.search(r"about <b>\d+ PB</b> needed for constants( and cDST)?, <b>[\d.]+ .B</b> free", form)
    assert "required>" in form
    seen = re.search(r'name="seen" value="(\d+)"', form)
    assert seen is not None
    refused = manager.post(address, seen=seen[1], reason=" ")
    assert refused.status_code == 422
    assert "There is too little room." in refused.text
    assert manager.post(address, seen=seen[1], reason="another disk comes").status_code == 303
    assert "another disk comes" in manager.get("/decisions").text


def test_in_a_published_processing_it_is_the_processing_that_is_in_the_way(expert: Browser, database: Database) -> None:
    with database.read() as db:
        signed_off = select(Calibration.id).join(Processing).where(Processing.name == "bucket22")
        number = db.scalars(
            signed_off.where(Calibration.expert == "tracking", Calibration.state == "signed_off")
        ).first()
    page = expert.get(f"/calibrations/{number}/do/reject").text
    assert "Not possible: bucket22 is published: nothing in it can be changed." in page
    assert "Put in doubt by it" not in page
    assert '<form class="panel"' not in page


def test_a_subsystem_is_vetoed_only_where_one_is_named(manager: Browser, database: Database) -> None:
    def unnamed(db: Session) -> None:
        for definition in db.scalars(select(Definition)):
            definition.settings = {**definition.settings, "subsystem": None}

    assert "/do/veto" in manager.get("/processings/bucket23").text
    database.write(unnamed)
    assert "/do/veto" not in manager.get("/processings/bucket23").text
    page = manager.get("/processings/bucket23/do/veto").text
    assert "bucket23 has no subsystem that could be vetoed" in page
    assert '<form class="panel"' not in page
