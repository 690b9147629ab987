"""Submitting on the pages: two clicks with the defaults, changed keys, and nothing typed is ever lost."""

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from b2cal import loop
from b2cal.core.clock import ManualClock
from b2cal.loop.rejections import combination_of
from b2cal.model import Attempt, Calibration, Database, State, Submission
from tests import factories

from .conftest import Browser

Find = Callable[..., Calibration]


def fields_of(text: str) -> dict[str, str]:
    """The fields of the submission form as a browser would send them."""
    form = text[text.index('<section id="act">') :]
    inputs = re.findall(r'<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"', form)
    areas = re.findall(r'<textarea[^>]*name="([^"]+)"[^>]*>\n?(.*?)</textarea>', form, re.DOTALL)
    selects = re.findall(r'<select[^>]*name="([^"]+)"[^>]*>.*?<option selected>([^<]*)', form, re.DOTALL)
    fields = {name: unescape(value) for name, value in [*inputs, *areas, *selects]}
    fields.pop("csrf_token")
    return fields


def submission(database: Database, number: int) -> Submission:
    with database.read() as db:
        found = db.scalars(select(Submission).where(Submission.calibration_id == number, Submission.live)).one()
        db.expunge_all()
        return found


def reopened(browser: Browser, find: Find) -> Calibration:
    """The calibration with many keys, open again."""
    it = find("x-t relation")
    browser.post(f"/calibrations/{it.id}/do/reject", seen=str(it.version), reason="again")
    return find("x-t relation")


def test_from_the_inbox_it_is_one_click_to_submit_with_the_defaults(
    expert: Browser, find: Find, database: Database
) -> None:
    it = find("dE/dx gain")
    inbox = expert.get("/").text
    form = inbox[inbox.index("Submit with defaults") - 600 : inbox.index("Submit with defaults")]
    assert f'action="/calibrations/{it.id}/submit"' in form
    answer = expert.post(f"/calibrations/{it.id}/submit", seen=str(it.version), defaults="yes")
    assert answer.status_code == 303
    assert "is submitted with the defaults" in expert.get(answer.location).text
    made = submission(database, it.id)
    assert made.config == {"min_events": 5000, "iterations": 5}
    assert not made.automatic
    assert find("dE/dx gain").state is State.SUBMITTED


def test_what_the_two_ways_to_submit_do_is_said_beside_them(expert: Browser, find: Find) -> None:
    text = expert.get(f"/calibrations/{find('dE/dx gain').id}").text
    explained = re.findall(r"<dt>(.+?)</dt>", text[text.index("What do these do?") : text.index("History")])
    assert {"Submit with defaults", "Change first"} <= set(explained)


def test_the_form_untouched_submits_what_it_shows(expert: Browser, find: Find, database: Database) -> None:
    it = find("dE/dx gain")
    fields = fields_of(expert.get(f"/calibrations/{it.id}/submit").text)
    assert expert.post(f"/calibrations/{it.id}/submit", **fields).status_code == 303
    made = submission(database, it.id)
    assert made.config == {"min_events": 5000, "iterations": 5}
    assert made.selection == {"filters": {"cosmic": ["Good", "On"], "hadron": ["Good", "On"]}}


def test_the_pages_say_which_defaults_were_carried_over_and_from_where(
    expert: Browser, find: Find, database: Database
) -> None:
    it = find("dE/dx gain")
    carried = {"min_events": {"value": 7000, "of": "bucket22"}, "iterations": {"value": 5, "of": "bucket22"}}
    taken_over = update(Calibration).where(Calibration.id == it.id).values(carried_over=carried)
    database.write(lambda db: db.execute(taken_over))
    for page in (f"/calibrations/{it.id}", f"/calibrations/{it.id}/submit"):
        text = expert.get(page).text
        assert "from bucket22; the script says 5000" in text
        assert text.count("from bucket22") == 2
    fields = fields_of(expert.get(f"/calibrations/{it.id}/submit").text)
    assert expert.post(f"/calibrations/{it.id}/submit", **fields).status_code == 303
    assert submission(database, it.id).config == {"min_events": 7000, "iterations": 5}
    assert "min_events as in bucket22" in expert.get(f"/calibrations/{it.id}").text
    expert.post(f"/calibrations/{it.id}/do/withdraw", seen=str(find("dE/dx gain").version))
    fields = fields_of(expert.get(f"/calibrations/{it.id}/submit").text)
    expert.post(f"/calibrations/{it.id}/submit", **(fields | {"config.min_events": "5000"}))
    assert submission(database, it.id).config == {"min_events": 5000, "iterations": 5}


def test_who_rejected_and_why_is_said_where_it_is_submitted_again(
    expert: Browser, find: Find, database: Database
) -> None:
    it = reopened(expert, find)
    for page in ("/", f"/calibrations/{it.id}"):
        assert "Rejected by tracking: again." in expert.get(page).text
    form = expert.get(f"/calibrations/{it.id}/submit").text
    assert re.search(r'id="rejected">.*Rejected by .*</b> again</p>', form)
    assert "The fields hold what was rejected" not in form

    def as_the_fields_are(db: Session) -> None:
        """The combination that was rejected is what the fields hold, and nothing of its inputs has changed."""
        view = loop.ProcessingView(db, it.processing_id)
        mine = view.calibrations[it.name]
        last = db.scalars(select(Submission).where(Submission.calibration_id == it.id)).all()[-1]
        inputs, reads = loop.inputs_of(view, mine, last.selection), view.would_read(it.name, last.config)
        same = combination_of(db, mine, last.config, reads, inputs)
        db.execute(update(Attempt).where(Attempt.calibration_id == it.id, Attempt.rejected).values(combination=same))

    database.write(as_the_fields_are)
    form = expert.get(f"/calibrations/{it.id}/submit").text
    assert "The fields hold what was rejected" in form
    answer = expert.post(f"/calibrations/{it.id}/submit", **fields_of(form))
    assert "on the same inputs and constants was rejected before" in expert.get(answer.location).text


def test_changed_keys_and_a_changed_selection_are_submitted(expert: Browser, find: Find, database: Database) -> None:
    it = reopened(expert, find)
    page = expert.get(f"/calibrations/{it.id}/submit").text
    fields = fields_of(page)
    assert fields["config.max_events_hadron"] == "20000"  # as submitted last
    fields |= {
        "config.mode": "full",
        "config.fractions": '{"hadron": 1}',
        "exclude": "e26r200, e26r204",
        "reason": "all of it",
    }
    answer = expert.post(f"/calibrations/{it.id}/submit", **fields)
    assert answer.status_code == 303
    told = unescape(expert.get(answer.location).text)
    assert "is submitted with " in told
    assert "max_events_hadron = 20000, mode = full, " in told
    assert ", another selection of data." in told
    made = submission(database, it.id)
    assert made.config["max_events_hadron"] == 20000
    assert made.config["mode"] == "full"
    assert made.config["fractions"] == {"hadron": 1}
    assert made.config["min_hits"] == 20
    assert made.selection["exclude"] == ["e26r200", "e26r204"]
    assert made.comment == "all of it"
    page = expert.get(answer.location).text
    assert "max_events_hadron" in page
    assert "without e26r200, e26r204" in page  # the history


def test_a_run_outside_of_the_processing_is_refused_with_the_range_named(expert: Browser, find: Find) -> None:
    it = find("dE/dx gain")
    fields = fields_of(expert.get(f"/calibrations/{it.id}/submit").text) | {"exclude": "e26r99999"}
    for button in ({}, {"preview": "yes"}):
        answer = expert.post(f"/calibrations/{it.id}/submit", **fields, **button)
        assert answer.status_code == 422
        assert re.search(r"The runs of the processing are e26r\d+ - e26r\d+; not among them: e26r99999\.", answer.text)
        assert fields_of(answer.text)["exclude"] == "e26r99999"
    assert find("dE/dx gain").state is State.OPEN


def test_a_value_of_the_wrong_type_is_explained_at_its_key_and_everything_is_kept(
    expert: Browser, find: Find, database: Database
) -> None:
    it = reopened(expert, find)
    fields = fields_of(expert.get(f"/calibrations/{it.id}/submit").text)
    fields |= {"config.iterations": "many", "config.fractions": '{"hadron": ', "config.comment": "a <long> text"}
    answer = expert.post(f"/calibrations/{it.id}/submit", **fields)
    assert answer.status_code == 422
    assert "iterations must be a whole number" in answer.text
    assert "fractions must be an object" in answer.text
    kept = fields_of(answer.text)
    assert {name: kept[name] for name in fields} == fields
    assert find("x-t relation").state is State.OPEN


def test_a_value_out_of_range_is_explained_at_its_key(expert: Browser, find: Find) -> None:
    it = reopened(expert, find)
    fields = fields_of(expert.get(f"/calibrations/{it.id}/submit").text) | {"config.iterations": "99"}
    answer = expert.post(f"/calibrations/{it.id}/submit", **fields)
    assert answer.status_code == 422
    assert "must be at most 20" in answer.text
    assert fields_of(answer.text)["config.iterations"] == "99"


def test_a_selection_that_the_release_does_not_know_is_refused_and_kept(expert: Browser, find: Find) -> None:
    it = find("dE/dx gain")
    fields = fields_of(expert.get(f"/calibrations/{it.id}/submit").text) | {"filters.hadron": "Goood, On"}
    answer = expert.post(f"/calibrations/{it.id}/submit", **fields)
    assert answer.status_code == 422
    assert "Goood" in answer.text
    assert fields_of(answer.text)["filters.hadron"] == "Goood, On"


def test_what_a_selection_would_take_is_told_before_it_is_submitted(expert: Browser, find: Find) -> None:
    it = reopened(expert, find)
    fields = fields_of(expert.get(f"/calibrations/{it.id}/submit").text)
    fields |= {"config.iterations": "7", "exclude": "e26r181", "reason": "because"}
    answer = expert.post(f"/calibrations/{it.id}/submit", **fields, preview="yes")
    assert answer.status_code == 200
    assert "Nothing is submitted yet." in answer.text
    assert re.search(r"<b>39[0-9] of 412 runs</b>, 79[0-9] files", answer.text)
    assert "1 run left out:" in answer.text
    assert "(e26r181)" in answer.text
    assert fields_of(answer.text) == fields
    wrong = expert.post(f"/calibrations/{it.id}/submit", **{**fields, "filters.hadron": "Goood"}, preview="yes")
    assert wrong.status_code == 422
    assert find("x-t relation").state is State.OPEN


def test_one_key_goes_back_to_its_default_without_javascript(expert: Browser, find: Find) -> None:
    it = reopened(expert, find)
    fields = fields_of(expert.get(f"/calibrations/{it.id}/submit").text) | {"config.mode": "full"}
    answer = expert.post(f"/calibrations/{it.id}/submit", **fields, reset="max_events_hadron")
    assert answer.status_code == 200
    kept = fields_of(answer.text)
    assert kept["config.max_events_hadron"] == "12000"
    assert kept["config.mode"] == "full"
    assert find("x-t relation").state is State.OPEN


def test_who_submits_after_somebody_else_is_told_and_keeps_the_form(
    expert: Browser, manager: Browser, find: Find
) -> None:
    it = reopened(expert, find)
    fields = fields_of(expert.get(f"/calibrations/{it.id}/submit").text) | {"config.comment": "hours of thought"}
    manager.post(f"/calibrations/{it.id}/submit", seen=str(it.version))
    answer = expert.post(f"/calibrations/{it.id}/submit", **fields)
    assert answer.status_code == 409
    assert "submit by manager" in answer.text
    assert fields_of(answer.text)["config.comment"] == "hours of thought"


def test_what_was_typed_survives_the_end_of_the_visit(expert: Browser, find: Find, clock: ManualClock) -> None:
    it = reopened(expert, find)
    fields = fields_of(expert.get(f"/calibrations/{it.id}/submit").text) | {"config.comment": "hours of <thought>"}
    clock.advance(timedelta(hours=9))
    answer = expert.post(f"/calibrations/{it.id}/submit", **fields)
    assert answer.status_code == 401
    assert "hours of &lt;thought&gt;" in answer.text
    without_token = expert.client.post(f"/calibrations/{it.id}/submit", data=fields)
    assert without_token.status_code == 400
    assert "hours of &lt;thought&gt;" in without_token.text


def test_the_three_ways_of_a_key_stand_side_by_side(expert: Browser, find: Find) -> None:
    text = expert.get(f"/calibrations/{find('x-t relation').id}").text
    row = text[text.index("<td>max_events_hadron</td>") :][:400]
    assert re.findall(r">(\d+)<", row) == ["12000", "12000", "20000"]


def test_the_column_of_earlier_values_bears_the_name_of_the_processing_that_they_come_from(
    expert: Browser, find: Find, database: Database
) -> None:
    vetoed, submitted = find("x-t relation", "bucket23"), find("x-t relation", "proc12-chunk3")

    def unit(db: Session) -> int:
        db.execute(update(Submission).where(Submission.calibration_id == vetoed.id).values(live=None))
        db.execute(
            update(Submission)
            .where(Submission.calibration_id == submitted.id)
            .values(config={**submission(database, submitted.id).config, "max_events_hadron": 4711})
        )
        its = db.get_one(Calibration, vetoed.id).definition
        later = factories.processing(db, name="bucket25", release=its.release)
        it = factories.calibration(db, later, "x-t relation", definition=its, upstream=[])
        factories.submission(db, it, config={**its.settings["expert_config"], "max_events_hadron": 1})
        return it.id

    number = database.write(unit)
    for page in (f"/calibrations/{number}", f"/calibrations/{number}/submit"):
        text = expert.get(page).text
        assert "<th>proc12-chunk3</th>" in text
        assert "<th>bucket23</th>" not in text
        assert re.search(r'data-label="proc12-chunk3">[^<]*4711', text)


def test_a_form_that_is_sent_as_it_came_changes_no_filter_whatever_its_value_is(
    expert: Browser, find: Find, database: Database
) -> None:
    """An empty text is a beam energy of Belle II."""
    filters = {}

    def with_odd_values(db: Session) -> None:
        it = db.get_one(Calibration, find("dE/dx gain").id)
        vocabulary = {**it.processing.release.vocabulary, "Beam Energy": ["", "4S, scan"]}
        it.processing.release.vocabulary = vocabulary
        given = it.definition.settings["input_data_filters"]
        filters.update({name: [*values, "", "NOT 4S, scan"] for name, values in given.items()})
        it.definition.settings = {**it.definition.settings, "input_data_filters": filters}

    database.write(with_odd_values)
    it = find("dE/dx gain")
    page = expert.get(f"/calibrations/{it.id}/submit").text
    answer = expert.post(f"/calibrations/{it.id}/submit", **fields_of(page))
    assert "is submitted with the defaults" in expert.get(answer.location).text
    assert submission(database, it.id).selection == {"filters": filters}
    assert filters
