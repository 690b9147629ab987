"""What the pages say."""

import csv
import json
import re
import shutil
from collections.abc import Callable
from datetime import date, timedelta
from html import unescape

import pytest
from flask import Flask
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from b2cal import loop
from b2cal.conditions import tag_named
from b2cal.loop import Act, Actor
from b2cal.loop.calendar import blocked_days
from b2cal.model import (
    BarrierPolicy,
    BlockedDay,
    Calibration,
    Database,
    Decision,
    GroupState,
    Job,
    JobGroup,
    JobState,
    Person,
    Processing,
    Role,
    State,
)
from b2cal.settings import Settings

from .conftest import Browser, Page
from .sample import NOW

Find = Callable[..., Calibration]


def test_every_page_of_the_sample_is_there(pages: list[Page]) -> None:
    assert {page.where: page.status for page in pages if page.status != 200} == {"/nothing-here": 404}


def test_the_inbox_holds_what_an_expert_must_do_with_what_blocks_most_first(expert: Browser) -> None:
    text = expert.get("/").text
    assert "3 things" in text
    places = [text.index(name) for name in ("Channel masks", "x-t relation", "dE/dx gain")]
    assert places == sorted(places)
    assert "Look and decide" in text
    assert "calibrations wait for you" in text
    assert '<span class="tally">3</span>' in text


def days_of(db: Session, processing_id: int) -> list[BlockedDay]:
    days = blocked_days([date(2026, 12, day) for day in (24, 25, 26)], "Asia/Tokyo")
    for day in days:
        day.processing_id = processing_id
    return days


def test_the_page_of_a_processing_tells_its_policies(expert: Browser, database: Database, find: Find) -> None:
    assert "<dt>barriers</dt><dd>none: after its upstream</dd>" in expert.get("/processings/bucket23").text
    assert "blocked days" not in expert.get("/processings/bucket23").text
    it = find("x-t relation")
    database.write(lambda db: db.add_all(days_of(db, it.processing_id)))
    assert "<dd>24 Dec 2026 to 26 Dec 2026 (Asia/Tokyo)</dd>" in expert.get("/processings/bucket23").text
    full = update(Processing).where(Processing.name == "bucket23").values(barrier_policy=BarrierPolicy.STEPS)
    database.write(lambda db: db.execute(full))
    assert "<dt>barriers</dt><dd>between all steps</dd>" in expert.get("/processings/bucket23").text


def test_an_empty_inbox_is_normal_and_says_so(signed_in: Callable[[str], Browser]) -> None:
    text = signed_in("data").get("/").text
    assert "Nothing needs you." in text
    assert "tally" not in text


def test_a_deputy_sees_what_she_may_do(signed_in: Callable[[str], Browser]) -> None:
    text = signed_in("second").get("/").text
    assert "x-t relation" in text
    assert "expert E. Expert" in text


def test_what_an_expert_should_decide_who_cannot_log_in_is_put_to_the_manager(
    manager: Browser, database: Database
) -> None:
    assert "Nothing needs you." in manager.get("/").text

    def lose_password(username: str) -> None:
        database.write(lambda db: setattr(db.get_one(Person, username), "password_hash", ""))

    lose_password("tracking")
    text = manager.get("/").text
    assert "x-t relation" not in text  # its deputy can
    lose_password("second")
    text = manager.get("/").text
    assert "x-t relation" in text
    assert "expert E. Expert, who cannot log in" in text
    assert "Submit with defaults" not in text  # b2cal does that by itself


def test_inputs_that_stay_incomplete_are_put_to_the_manager(
    manager: Browser, expert: Browser, database: Database, find: Find
) -> None:
    it = find("dE/dx gain")
    expert.post(f"/calibrations/{it.id}/submit", seen=str(it.version))

    def since(hours: float) -> None:
        moment = NOW - timedelta(hours=hours)
        database.write(
            lambda db: db.execute(
                update(Calibration).where(Calibration.id == it.id).values(incomplete_since=moment, upstream=[])
            )
        )

    since(23)
    assert "Nothing needs you." in manager.get("/").text
    since(25)
    text = manager.get("/").text
    assert "dE/dx gain" in text
    assert f"/calibrations/{it.id}/do/go_on" in text
    assert "lacks inputs and asks <b>M. Manager</b>" in manager.get("/processings/bucket23").text
    assert "/do/go_on" not in expert.get("/").text


def test_a_signed_off_result_that_became_stale_is_put_to_the_manager(
    manager: Browser, database: Database, find: Find
) -> None:
    upstream = find("Channel masks")
    manager.post(f"/calibrations/{upstream.id}/do/veto", seen=str(upstream.version), reason="crate off")
    text = manager.get("/").text
    assert "Time offsets" in text
    assert "Keep…" in text
    it = find("Time offsets")
    answer = manager.post(f"/calibrations/{it.id}/do/keep", seen=str(it.version), reason="no difference seen")
    assert answer.status_code == 303
    assert f'/calibrations/{it.id}/do/keep"' not in manager.get("/").text


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
            buttons = {button.verb.value for button in loop.buttons(db, it, "manager")}
            text = manager.get(f"/calibrations/{it.id}").text
            shown = {verb for verb in loop.Verb if f'/calibrations/{it.id}/do/{verb.value}"' in text}
            shown |= {"submit"} if f'action="/calibrations/{it.id}/submit"' in text else set()
            assert shown == buttons, it.name


def test_a_processing_shows_steps_graph_forecast_and_what_publishing_changes(expert: Browser) -> None:
    text = expert.get("/processings/bucket23").text
    for expected in (
        "3 of 4 · 1 to decide",
        "waits for x-t relation",
        "if x-t relation is decided now",
        "Where did the time go?",
        "5 new IoVs of 6 payloads",
        "412 runs",
    ):
        assert expected in text
    assert text.count('<text class="name"') == 16


def test_when_a_processing_is_cancelled_it_asks_nobody_and_says_why(manager: Browser, database: Database) -> None:
    with database.read() as db:
        version = db.scalars(select(Processing.version).where(Processing.name == "bucket23")).one()
    manager.post("/processings/bucket23/do/cancel", seen=str(version), reason="wrong runs")
    text = manager.get("/processings/bucket23").text
    assert "Cancelled by M. Manager" in text
    assert "wrong runs" in text
    assert "Nobody: it is over." in text
    assert ">Decide</a>" not in text
    assert "⊘</span> cancelled" in text
    assert not re.findall(r"(?:running|in review|open|failed)</(?:span|text)>", text)


def test_a_job_is_called_the_same_everywhere_and_people_count_from_1(expert: Browser, database: Database) -> None:
    def unit(db: Session) -> tuple[int, int]:
        job = db.scalars(select(Job).join(JobGroup).where(JobGroup.iteration == 0, Job.error != "")).first()
        assert job is not None
        job.group.iteration, job.number = 6, 7000
        return job.id, job.group.attempt.calibration_id

    job_id, calibration_id = database.write(unit)
    for page in (f"/jobs/{job_id}", f"/calibrations/{calibration_id}/jobs?state=failed"):
        assert "collect, iteration 7, job 7001<" in expert.get(page).text


def test_managers_are_told_the_command_that_begins_something_and_experts_are_not(
    manager: Browser, expert: Browser
) -> None:
    for page, command in (("/processings", "processing create"), ("/tags", "tag create"), ("/data", "data scan")):
        found = re.search(r"New: <code>b2cal (.*?)</code>", manager.get(page).text)
        assert found is not None
        assert found[1].startswith(command)
        assert "New: <code>" not in expert.get(page).text


def test_a_held_processing_says_who_holds_it_and_why(expert: Browser) -> None:
    text = expert.get("/processings/proc12-chunk3").text
    assert "Held by M. Manager" in text
    assert "The script is mended" in text


def test_jobs_that_wait_for_their_next_try_are_counted_with_the_time(expert: Browser, database: Database) -> None:
    def unit(db: Session) -> None:
        group = db.scalars(select(JobGroup).where(JobGroup.round == 1)).one()
        group.state, group.not_before = GroupState.WANTED, NOW + timedelta(minutes=24)

    database.write(unit)
    text = expert.get("/processings/bucket23").text
    assert "5 jobs failed and are tried again" in text
    assert ">in 24 min</time>" in text


@pytest.mark.parametrize(
    ("show", "present", "absent"),
    [
        ("mine", "x-t relation", "Beam spot"),
        ("asking", "Beam spot", "Pedestals"),
        ("failed", "None.", "x-t relation</a></b></td>"),
    ],
)
def test_the_table_shows_what_is_asked_for(expert: Browser, show: str, present: str, absent: str) -> None:
    text = expert.get(f"/processings/bucket23?show={show}").text
    table = text[text.index('id="calibrations"') :].split("</section>")[0]
    assert present in table
    assert absent not in table


def test_a_decision_comes_with_its_evidence(expert: Browser, find: Find) -> None:
    text = expert.get(f"/calibrations/{find('x-t relation').id}").text
    assert "board shift against previous: 14 of 299 beyond the limit, worst board 65." in text
    assert "11 of 12 checks green" in text
    assert "14 of 299 beyond the limit" in text
    assert 'class="outside"' in text  # the plot
    assert "6 calibrations wait for it" in text
    assert "[ERROR] Operation expired (errno 206) after 600 s" in text
    assert "storage did not answer" in text
    assert "first error of 1,204 lines" in text


def test_the_evidence_says_where_and_since_when(expert: Browser, find: Find) -> None:
    text = expert.get(f"/calibrations/{find('x-t relation').id}").text
    assert "board 60 to 73" in text
    earlier = find("x-t relation", "bucket22").id
    assert f'<a href="/calibrations/{earlier}">In bucket22 it was 2.6 σ.</a>' in text
    assert "limit 4.2" in text
    assert "1 without a limit, shown only" in text


def test_the_numbers_behind_the_plots_can_be_taken_away(expert: Browser, find: Find) -> None:
    answer = expert.get(f"/calibrations/{find('x-t relation').id}/numbers.csv")
    assert answer.mimetype == "text/csv"
    rows = list(csv.DictReader(answer.text.splitlines()))
    assert len(rows) == 299
    beyond = [row["channel"] for row in rows if abs(float(row["value"])) > float(row["high"])]
    assert beyond == [str(channel) for channel in range(60, 74)]
    assert rows[0]["unit"] == "σ"
    nothing = expert.get(f"/calibrations/{find('Crystal time').id}/numbers.csv")
    assert len(nothing.text.splitlines()) == 1


def test_the_evidence_does_not_depend_on_the_folders_of_jobs(expert: Browser, find: Find, settings: Settings) -> None:
    it = find("x-t relation").id
    before = expert.get(f"/calibrations/{it}/numbers.csv").text
    shutil.rmtree(settings.attempts)
    assert "board 60 to 73" in expert.get(f"/calibrations/{it}").text
    assert expert.get(f"/calibrations/{it}/numbers.csv").text == before


def test_a_measurement_that_is_too_long_to_be_kept_is_shown_as_the_report_draws_it(
    expert: Browser, find: Find, settings: Settings
) -> None:
    it = find("x-t relation")
    (folder,) = (path.parent for path in settings.reports.glob("*/measurements.json"))
    plot = {"file": "measurement_0.svg", "title": "board shift against previous", "caption": "", "anomalous": True}
    (folder / "plots.json").write_text(json.dumps([plot]))
    shown = f'src="/calibrations/{it.id}/plots/measurement_0.svg"'
    assert shown not in expert.get(f"/calibrations/{it.id}").text
    (folder / "measurements.json").write_text("[]")
    assert shown in expert.get(f"/calibrations/{it.id}").text


def test_plots_of_the_report_are_shown_by_the_names_of_its_index(expert: Browser, find: Find) -> None:
    it = find("x-t relation").id
    assert f'src="/calibrations/{it}/plots/payload_0.svg"' in expert.get(f"/calibrations/{it}").text
    answer = expert.get(f"/calibrations/{it}/plots/payload_0.svg")
    assert answer.mimetype == "image/svg+xml"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    for other in ("report.html", "plots.json", "..%2f..%2fb2cal.db", "payload_1.svg"):
        assert expert.get(f"/calibrations/{it}/plots/{other}").status_code == 404, other


def test_who_brought_a_calibration_where_it_is_stands_at_its_top(manager: Browser, find: Find) -> None:
    assert "vetoed by M. Manager" in manager.get(f"/calibrations/{find('Muon efficiency').id}").text
    it = find("x-t relation")
    manager.post(f"/calibrations/{it.id}/do/sign_off", seen=str(it.version), reason="the sector is known")
    text = manager.get(f"/calibrations/{it.id}").text
    assert "New constants; 1 of 12 checks beyond the limit, signed off all the same." in text
    assert "signed off by M. Manager" in text
    assert "“the sector is known”" in text


def test_inputs_say_why_each_run_was_left_out(expert: Browser, find: Find) -> None:
    text = expert.get(f"/calibrations/{find('x-t relation').id}/inputs").text
    assert "397 of 412 runs taken" in text
    assert "magnet is Off, asked for On" in text
    assert "26 files came later" in text
    assert "<dt>hadron</dt><dd>Good, On</dd>" in text  # the rule that decided
    reasons = re.findall(r"<li><b>(\d+) runs:</b> ([^\n]*)\n\s*<div[^>]*>(.*?)</div>", text, re.DOTALL)
    assert [(int(n), links.count("/data/e26r")) for n, _, links in reasons] == [(9, 9), (6, 6)]
    assert "Frozen when attempt 2 started" in text


def test_before_an_attempt_the_inputs_are_those_of_now(expert: Browser, find: Find) -> None:
    text = expert.get(f"/calibrations/{find('Crystal time').id}/inputs").text
    assert "would take now" in text


def test_the_log_of_a_job_opens_at_its_end_and_leads_to_the_first_error(expert: Browser, database: Database) -> None:
    with database.read() as db:
        job = db.scalars(select(Job).where(Job.error.contains("Operation expired")).order_by(Job.id)).first()
    assert job is not None
    text = expert.get(f"/jobs/{job.id}").text
    assert "1,204 lines" in text
    assert 'id="L1204"' in text
    assert 'id="L1"' not in text
    assert "First error: line 1188" in text
    assert 'id="L1188" class="mono error"' in text
    assert 'id="L1"' in expert.get(f"/jobs/{job.id}?line=1").text
    assert expert.get(f"/jobs/{job.id}?stream=stdout").text.count("hello") == 1
    download = expert.get(f"/jobs/{job.id}/log/stderr")
    assert "attachment" in download.headers["Content-Disposition"]
    assert download.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert expert.get(f"/jobs/{job.id}/log/..%2fjob.json").status_code == 404


def test_a_log_that_is_not_there_is_explained(expert: Browser, database: Database) -> None:
    with database.read() as db:
        done = db.scalars(select(Job).where(Job.state == JobState.DONE)).first()
    assert done is not None
    assert "Nothing in stdout." in expert.get(f"/jobs/{done.id}?stream=stdout").text
    assert "The job wrote nothing there" in expert.get(f"/jobs/{done.id}").text


def test_jobs_are_filtered_and_the_failed_stand_first(expert: Browser, find: Find) -> None:
    it = find("x-t relation")
    text = expert.get(f"/calibrations/{it.id}/jobs").text
    assert text.index("✕</span> failed") < text.index("✓</span> done")
    only = expert.get(f"/calibrations/{it.id}/jobs?state=failed").text
    assert only.count("Operation expired") == 5
    assert "201 to" in expert.get(f"/calibrations/{it.id}/jobs?from=200").text


def test_a_payload_is_downloaded_by_its_identity(app: Flask, expert: Browser, find: Find, database: Database) -> None:
    with database.read() as db:
        attempt = loop.ProcessingView.of(db, "bucket23").attempts["x-t relation"]
        payload = attempt.payloads[0].payload
    path = app.extensions["b2cal"].workplace.store.path(payload.identity)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"root file")
    answer = expert.get(f"/payloads/{payload.identity}")
    assert answer.data == b"root file"
    assert f"{payload.name}_{payload.identity[:8]}.root" in answer.headers["Content-Disposition"]


def test_a_tag_shows_gaps_and_open_ends(expert: Browser) -> None:
    text = expert.get("/tags/prompt").text
    assert 'class="gap"' in text
    assert "gap e25r651 to e25r699" in text
    assert "open" in text


def test_data_names_what_is_missing_and_what_cannot_be_read(expert: Browser) -> None:
    text = expert.get("/data").text
    assert "▲ not all" in text
    assert "16,000" in text
    assert "The file ends in the middle of a basket" in text
    older = expert.get("/data?from=e26r1000").text
    assert "e26r1967" not in older
    nonsense = expert.get("/data?from=nonsense")
    assert nonsense.status_code == 200
    assert "Write a run as e26r180" in nonsense.text
    assert 'value="nonsense"' in nonsense.text


def test_what_was_done_to_a_tag_stands_among_the_decisions(expert: Browser, database: Database) -> None:
    def unit(db: Session) -> None:
        tag = tag_named(db, "prompt")
        act = Act(Actor("manager", Role.MANAGER), tag.version, "as measured on the bench")
        loop.add_to_tag(db, tag, [], act)

    database.write(unit)
    text = expert.get("/decisions").text
    assert "Constants added" in text
    assert '<td>tag <a href="/tags/prompt">prompt</a></td>' in text
    assert "as measured on the bench" in text


def test_decisions_can_be_looked_through(expert: Browser) -> None:
    people = expert.get("/decisions?processing=bucket23&who=people").text
    assert "Readout crate off since run 210" in people
    assert ">b2cal<" not in people.split("<tbody>")[1]
    hers = expert.get("/decisions?actor=manager").text
    assert "Published" in hers
    assert "too few hadrons" not in hers


def test_older_decisions_follow_page_by_page_with_the_same_choice(
    expert: Browser, find: Find, database: Database
) -> None:
    it = find("x-t relation")
    facts = {"at": NOW, "actor": "second", "role": Role.DEPUTY, "verb": "sign_off", "from_state": "", "to_state": ""}

    def unit(db: Session) -> None:
        for number in range(201):
            about = {"processing_id": it.processing_id, "calibration_id": it.id, "seen": "", "details": {}}
            db.add(Decision(**facts, **about, reason=f"note {number}"))

    database.write(unit)
    where, pages = "/decisions?actor=second", []
    while where:
        text = expert.get(where).text
        pages.append([int(number) for number in re.findall(r"“note (\d+)”", text)])
        link = re.search(r'href="([^"]+)">older decisions', text)
        where = unescape(link[1]) if link else ""
    assert [len(page) for page in pages] == [100, 100, 1]
    assert [number for page in pages for number in page] == list(range(200, -1, -1))


def test_what_publishing_changed_stays_to_be_read(expert: Browser) -> None:
    text = expert.get("/processings/bucket22/publication").text
    assert "by M. Manager" in text
    row = text[text.index("<b>Alignment</b>") :].split("</tr>")[0]
    runs = re.findall(r'href="/data\?from=([^"]+)"', row)
    assert runs == ["e25r1", "e25r699", "e25r700"]
    assert "→ open" in row


def test_decisions_tell_their_facts_in_words(expert: Browser, manager: Browser, find: Find) -> None:
    it = find("dE/dx gain")
    manager.post(f"/calibrations/{it.id}/do/reassign", seen=str(it.version), expert="muon")
    text = expert.get("/decisions").text
    assert "E. Expert → K. Muon" in text
    assert "max_events_hadron = 20000" in text
    assert '/processings/bucket22/publication">what it changed' in text
    assert "&#34;" not in text  # no JSON


def test_the_result_page_explains_itself_and_shows_what_the_demo_found(expert: Browser, settings: Settings) -> None:
    assert "No result yet." in expert.get("/result").text
    row = {
        "payload": "TimeOffsets", "values": 6880, "unit": "σ", "before": 69.1, "after": 1.01, "p": 0.62,
        "resolution": "time of a cluster, ns", "resolution_before": 4.66, "resolution_after": 0.507,
        "resolution_true": 0.506,
    }  # fmt: skip
    path = settings.folder("result.json")
    path.write_text(json.dumps([row, {**row, "payload": "MomentumScale", "p": 1e-9}]))
    text = expert.get("/result").text
    assert "TimeOffsets" in text
    assert "time of a cluster, ns" in text
    assert "✓ yes" in text
    assert "✕ no" in text
    assert "MomentumScale: not compatible with the truth" in text
    assert ">100.0 %<" in text
    path.write_text(json.dumps([{**row, "values": 0, "unit": "no constants", "before": 0, "after": 0, "p": 0}]))
    text = expert.get("/result").text
    assert "no constants" in text
    assert "✓ yes" not in text
    path.write_text("{")
    assert "cannot be read" in expert.get("/result").text


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


def test_the_inbox_with_forms_is_not_new_each_time(expert: Browser) -> None:
    seen = expert.get("/").text.split("seen=")[1].split('"')[0]
    assert expert.get(f"/?seen={seen}", headers={"HX-Request": "true"}).status_code == 204


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
