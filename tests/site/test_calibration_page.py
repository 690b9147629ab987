"""What the page of a calibration says, and the evidence behind it."""

import csv
import json
import re
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from b2cal.model import (
    Attempt,
    AttemptFile,
    Calibration,
    CopyState,
    Database,
    DataFile,
    DataFormat,
    FileCopy,
    Kind,
    Run,
)
from b2cal.settings import Settings
from tests import factories

from .conftest import Browser
from .sample import NOW

Find = Callable[..., Calibration]


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


def test_it_says_until_when_a_restart_is_possible(manager: Browser, find: Find, database: Database) -> None:
    it = find("x-t relation")
    pages = [f"/calibrations/{it.id}", f"/calibrations/{it.id}/inputs"]
    assert all("restart is possible" not in manager.get(page).text for page in pages)
    first = select(AttemptFile.data_file_id).join(Attempt).where(Attempt.calibration_id == it.id).limit(1)

    def expires(at: datetime) -> None:
        with database.read() as db:
            number = db.scalars(first).one()
        database.write(lambda db: db.execute(update(DataFile).where(DataFile.id == number).values(expires_at=at)))

    expires(NOW + timedelta(days=12))
    for page in pages:
        text = re.sub(r"<[^>]+>", "", manager.get(page).text)
        assert re.search(r"A restart is possible until \d+ \w+( \d+)?, \d\d:\d\d UTC \(12 days\)\.", text), page
    assert "restarts possible until" in manager.get("/processings/bucket23").text
    assert f"/calibrations/{it.id}/do/restart" in manager.get(pages[0]).text
    assert "bucket23 expire on" not in manager.get("/").text
    expires(NOW + timedelta(days=5))
    assert "Inputs of bucket23 expire on" in manager.get("/").text
    expires(NOW - timedelta(days=1))
    assert "it cannot be restarted" in manager.get(pages[0]).text
    assert f"/calibrations/{it.id}/do/restart" not in manager.get(pages[0]).text
    assert "the first of the files that it read expired" in manager.get(f"/calibrations/{it.id}/do/restart").text


def test_a_production_says_how_much_of_its_files_is_on_tape(expert: Browser, find: Find, database: Database) -> None:
    def made(db: Session) -> int:
        attempt = factories.attempt(db, db.scalars(select(Calibration).where(Calibration.kind == Kind.PRODUCE)).first())
        runs = db.scalars(select(Run.exprun).limit(2)).all()
        for exprun, state in zip(runs, (CopyState.DONE, CopyState.FAILED), strict=True):
            file = DataFile(path=f"/cdst/{exprun}.root", data_name="hadron", format=DataFormat.CDST, exprun=exprun)
            file.n_events, file.size_bytes, file.mtime_ns, file.sha256 = 10, 1000, 1, ""
            file.registered_at, file.attempt_id = NOW, attempt.id
            row = FileCopy(file=file, target=f"/tape/{exprun}.root", state=state, error="the disk is full")
            row.wanted_at, row.not_before = NOW, NOW + timedelta(minutes=4)
            db.add(row)
        return attempt.calibration_id

    text = re.sub(r"<[^>]+>", "", expert.get(f"/calibrations/{database.write(made)}").text)
    assert "On tape: 1 of 2 files · 1 failed, tried again in 4 min: the disk is full" in text
    assert text.count("/tape/") == 2


def test_before_an_attempt_the_inputs_are_those_of_now(expert: Browser, find: Find) -> None:
    text = expert.get(f"/calibrations/{find('Crystal time').id}/inputs").text
    assert "would take now" in text
