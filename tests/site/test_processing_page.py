"""What the page of a processing says."""

import re
from collections.abc import Callable
from datetime import date, timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from b2cal import data
from b2cal.loop.calendar import blocked_days
from b2cal.model import (
    BarrierPolicy,
    BlockedDay,
    Calibration,
    Database,
    GroupState,
    JobGroup,
    Processing,
)

from .conftest import Browser
from .sample import NOW

Find = Callable[..., Calibration]


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


def test_what_has_arrived_of_its_runs_is_told_stream_by_stream_with_folders_in_trouble(
    expert: Browser, database: Database
) -> None:
    def unit(db: Session) -> None:
        data.note_trouble(db, data.begin_watch(db, "/data/raw", "hadron", None, "manager").id, "No door leads to it.")

    assert 'href="/processings/bucket23/arrival">412 runs</a>' in expert.get("/processings/bucket23").text
    assert "A watched folder" not in expert.get("/processings/bucket23/arrival").text
    database.write(unit)
    text = expert.get("/processings/bucket23/arrival").text
    assert "A watched folder cannot be scanned" in text
    assert re.search(r"/data/raw</span> \(hadron\), since .*: No door leads to it\.", text)
    with database.read() as db:
        it = db.scalars(select(Processing).where(Processing.name == "bucket23")).one()
        streams = data.arrival(db, it.run_first, it.run_last).streams
    assert streams
    for stream in streams:
        assert f"<td><b>{stream.stream}</b></td>" in text


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
