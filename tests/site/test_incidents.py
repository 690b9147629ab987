"""Incidents on the pages: what is wrong, who waits for its end, and what b2cal does about it."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from b2cal.model import Attempt, Calibration, Database, GroupState, Incident, IncidentKind, Job, JobGroup, JobState
from b2cal.site.queries import incidents
from tests import factories

from .conftest import Browser
from .sample import NOW

Find = Callable[..., Calibration]

ALIKE = "exit 74: Connection refused by ..."
REASON = "Since 2026-11-20 10:00 UTC 20 jobs or more of KEK have failed alike"


def text_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def storm(db: Session) -> int:
    """Three jobs of Crystal energy have failed alike and wait."""
    its = select(Attempt).join(Attempt.calibration).where(Calibration.name == "Crystal energy", Attempt.live.is_(True))
    attempt = db.scalars(its.order_by(Attempt.id.desc())).first()
    assert attempt is not None
    it = factories.incident(
        db,
        centre="KEK",
        kind=IncidentKind.STORM,
        about=ALIKE,
        reason=REASON,
        opened_at=NOW - timedelta(hours=1),
        probe={"attempt": attempt.id},
        probe_due=NOW + timedelta(minutes=7),
    )
    group = db.scalars(select(JobGroup).where(JobGroup.attempt_id == attempt.id)).one()
    for job in group.jobs[:3]:
        job.state, job.failure_kind, job.error = JobState.FAILED, ALIKE, "Connection refused by node 3"
    again = factories.group(db, attempt, 3, round=1, state=GroupState.WANTED, wanted_at=NOW)
    again.incident_id = it.id
    for job in again.jobs:
        job.error = REASON
    return it.id


def test_an_open_incident_says_what_is_wrong_who_waits_and_when_the_next_probe_goes(
    manager: Browser, database: Database, find: Find
) -> None:
    number = database.write(storm)
    waits = find("Crystal energy", "proc12-chunk3").id
    page = manager.get("/incidents").text
    its = page.partition(f'id="incident-{number}"')[2].partition('class="callout')[0]
    assert "Jobs fail alike at KEK since" in text_of(its)
    assert ALIKE in its
    assert "The first probe goes in 7 min" in text_of(its)
    assert "3 jobs wait for its end: Crystal energy in proc12-chunk3 : collect, 3 jobs" in text_of(its)
    assert f'href="/calibrations/{waits}/jobs?attempt=1&amp;state=failed"' in its
    with database.read() as db:
        example = db.scalars(select(Job.id).where(Job.failure_kind == ALIKE).order_by(Job.id.desc())).first()
    assert f'href="/jobs/{example}">one of them: collect, job 3</a>' in its
    assert "Host acas1407 of KEK fails jobs since" in text_of(page)
    assert "2 probes in vain so far; the next goes" in text_of(page)
    assert "No job waits for it: they run on other hosts." in page


def test_who_waits_for_an_incident_leads_to_it(manager: Browser, database: Database, find: Find) -> None:
    number = database.write(storm)

    def goes_on(db: Session) -> None:
        it = find("Crystal energy", "proc12-chunk3")
        db.get_one(Calibration, it.id).processing.held = False

    database.write(goes_on)
    it = find("Crystal energy", "proc12-chunk3").id
    link = f'href="/incidents#incident-{number}">'
    for page in ("/processings/proc12-chunk3", f"/calibrations/{it}", f"/calibrations/{it}/jobs?state=queued"):
        assert link in manager.get(page).text, page
    assert "3 jobs of proc12-chunk3 wait for its end" in text_of(manager.get("/processings/proc12-chunk3").text)
    assert link not in manager.get("/processings/bucket23").text
    database.write(lambda db: setattr(db.get_one(Incident, number), "live", None))
    assert link not in manager.get(f"/calibrations/{it}").text


def test_those_that_are_over_follow_page_by_page(
    manager: Browser, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incidents, "PAGE", 3)

    def many(db: Session) -> None:
        for number in range(4):
            factories.incident(db, about=f"old{number}", live=None, closed_at=NOW)

    database.write(many)
    first = manager.get("/incidents").text
    assert re.findall(r">(old\d)<", first) == ["old3", "old2", "old1"]
    older = re.search(r'href="(/incidents\?before=\d+)">older incidents', first)
    assert older is not None
    second = manager.get(older[1]).text
    assert re.findall(r">(old\d)<", second) == ["old0"]
    assert "acas1407" not in second
    assert "older incidents" not in second
