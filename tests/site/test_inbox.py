"""Needs me: what waits for somebody, and nothing else."""

from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from b2cal.loop import ask_about_jobs
from b2cal.model import (
    Attempt,
    Calibration,
    Database,
    GroupState,
    JobGroup,
    Person,
)

from .conftest import Browser
from .sample import NOW

Find = Callable[..., Calibration]


def test_the_inbox_holds_what_an_expert_must_do_with_what_blocks_most_first(expert: Browser) -> None:
    text = expert.get("/").text
    assert "3 things" in text
    places = [text.index(name) for name in ("Channel masks", "x-t relation", "dE/dx gain")]
    assert places == sorted(places)
    assert "Look and decide" in text
    assert "calibrations wait for you" in text
    assert '<span class="tally">3</span>' in text


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


def test_jobs_that_a_rule_asks_about_are_put_to_expert_and_manager_with_what_they_can_do(
    manager: Browser, signed_in: Callable[[str], Browser], database: Database, find: Find
) -> None:
    it = find("Crystal energy", "proc12-chunk3")
    assert "jobs ask" not in manager.get("/").text

    def asks(db: Session) -> None:
        group = db.scalars(select(JobGroup).join(Attempt).where(Attempt.calibration_id == it.id)).all()[-1]
        group.state, group.round = GroupState.WANTED, 1
        ask_about_jobs(db, group, "the licences are used up")

    database.write(asks)
    for who in (manager, signed_in(it.expert)):
        text = who.get("/").text
        assert "jobs ask" in text
        assert "the licences are used up" in text
        assert f"/calibrations/{it.id}/do/retry_jobs" in text
        assert f"/calibrations/{it.id}/do/cancel_jobs" in text
    assert "has jobs that failed and asks" in manager.get("/processings/proc12-chunk3").text
    assert "waits for a decision" in manager.get(f"/calibrations/{it.id}/jobs").text
    manager.post(f"/calibrations/{it.id}/do/cancel_jobs", seen=str(it.version), reason="not today")
    assert "jobs ask" not in manager.get("/").text


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


def test_the_inbox_with_forms_is_not_new_each_time(expert: Browser) -> None:
    seen = expert.get("/").text.split("seen=")[1].split('"')[0]
    assert expert.get(f"/?seen={seen}", headers={"HX-Request": "true"}).status_code == 204
