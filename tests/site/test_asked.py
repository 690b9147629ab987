"""Who is asked when something does not go on by itself, and in which words."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.security import generate_password_hash

from b2cal import conditions, loop
from b2cal.model import Database, Job, Person, PublishPolicy, Role, TagState
from tests import factories
from tests.loop.world import Defined, World
from tests.site import sample
from tests.site.conftest import Browser, site_of

PAGE = "/processings/bucket1"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, (Defined("A"),))


class Desks:
    """The browsers of whoever signs in."""

    def __init__(self, world: World) -> None:
        self.site = site_of(world.workplace.settings, world.clock)
        self._database = world.database

    def __call__(self, username: str) -> Browser:
        password = generate_password_hash(sample.PASSWORD, method="scrypt:1024:8:1")
        self._database.write(lambda db: setattr(db.get_one(Person, username), "password_hash", password))
        browser = Browser(self.site.test_client())
        browser.sign_in(username)
        return browser


@pytest.fixture
def sign_in(world: World) -> Iterator[Desks]:
    desks = Desks(world)
    yield desks
    database: Database = desks.site.extensions["b2cal"].database
    database.dispose()


def rejected_and_over(world: World) -> None:
    """What its defaults bring was rejected, and its new window is over."""
    world.process()
    world.do("submit", "A")
    world.finish("A", 1)
    world.do("reject", "A")
    world.tick(3 * 3600)
    world.advance("A")


def test_what_is_not_submitted_by_itself_is_put_to_the_manager_whether_the_expert_can_log_in_or_not(
    world: World, sign_in: Desks
) -> None:
    rejected_and_over(world)
    manager = sign_in("manager")
    assert "1 thing." in manager.get("/").text
    expert = sign_in("tracking")
    for browser in (manager, expert):
        inbox = browser.get("/").text
        assert "</span> not submitted</span>" in inbox
        assert "tracking must change something" in inbox
        assert "until " not in inbox
    assert "Change and submit" in manager.get("/").text


def test_the_pages_say_that_it_asks_the_manager_and_promise_no_submission_in_the_past(
    world: World, sign_in: Desks
) -> None:
    rejected_and_over(world)
    manager = sign_in("manager")
    page = manager.get(PAGE).text
    assert "is not submitted and asks <b>Manager</b>" in page
    assert "automatic submission" not in page
    assert ">Decide</a>" in page
    with world.database.read() as db:
        number = world.view(db).calibration("A").id
    assert "Without you it is submitted" not in manager.get(f"/calibrations/{number}/submit").text
    assert "window ends" not in manager.get(f"/calibrations/{number}").text


def test_the_board_counts_what_waits_for_a_decision_as_the_inbox_does(world: World, sign_in: Desks) -> None:
    rejected_and_over(world)
    assert "1 to decide" in sign_in("manager").get("/processings").text


def test_before_its_window_ends_an_open_calibration_asks_its_expert_only(world: World, sign_in: Desks) -> None:
    world.process()
    assert "Nothing needs you" in sign_in("manager").get("/").text
    assert "until " in sign_in("tracking").get("/").text
    assert "automatic submission" in sign_in("manager").get(PAGE).text


def complete(world: World, processing: str) -> None:
    world.do("submit", "A", processing=processing)
    world.finish("A", processing, processing=processing)
    loop.advance_processing(world.workplace, processing)


def test_publishing_waits_for_the_manager_only_when_no_earlier_one_blocks_it(world: World, sign_in: Desks) -> None:
    world.process("bucket1", first=100, last=102)
    world.process("bucket2", first=103, last=105, publish=PublishPolicy.MANUAL)
    complete(world, "bucket2")
    manager = sign_in("manager")
    assert "Nothing needs you" in manager.get("/").text
    page = manager.get("/processings/bucket2").text
    assert "bucket1 has earlier runs and is not published yet." in page
    assert "publishing asks" not in page
    assert "everything runs by itself" not in page

    complete(world, "bucket1")
    inbox = manager.get("/").text
    assert "publishing waits for manager" in inbox
    assert "Look and publish" in inbox
    assert "publishing asks <b>Manager</b>" in manager.get("/processings/bucket2").text


@pytest.mark.parametrize("policy", PublishPolicy)
def test_what_must_not_be_published_is_put_to_the_manager_whatever_the_policy(
    world: World, sign_in: Desks, policy: PublishPolicy
) -> None:
    def closed(db: Session) -> None:
        conditions.tag_named(db, "main").state = TagState.INVALID

    world.process(publish=policy)
    world.database.write(closed)
    complete(world, "bucket1")
    manager = sign_in("manager")
    inbox = manager.get("/").text
    assert "cannot publish" in inbox
    assert "cannot be published: main is invalid" in inbox
    assert "publishing waits" not in inbox
    assert "publishing asks <b>Manager</b>" in manager.get(PAGE).text


def test_what_waits_for_a_manager_who_has_left_waits_for_every_manager_until_one_takes_over(
    world: World, sign_in: Desks
) -> None:
    def left(db: Session) -> None:
        db.get_one(Person, "manager").password_hash = ""
        for name in ("second", "third"):
            factories.person(db, name, full_name=name.capitalize(), role=Role.MANAGER)

    rejected_and_over(world)
    world.database.write(left)
    second, third = sign_in("second"), sign_in("third")
    for browser in (second, third):
        assert "not submitted</span>" in browser.get("/").text
    form = {"seen": str(world.processing().version), "reason": "she has left"}
    assert second.post(f"{PAGE}/do/take_over", **form).status_code == 303
    assert world.processing().manager == "second"
    assert "not submitted</span>" in second.get("/").text
    assert "Nothing needs you" in third.get("/").text
    assert "Take over" not in second.get(PAGE).text
    assert "Take over" in third.get(PAGE).text
    again = {"seen": str(world.processing().version), "reason": "to be sure"}
    assert "bucket1 is yours already." in second.post(f"{PAGE}/do/take_over", **again).text


def test_jobs_that_a_rule_asks_about_are_held_on_every_page_and_ask_their_expert(world: World, sign_in: Desks) -> None:
    world.process()
    world.do("submit", "A")
    world.advance("A")
    world.jobs_ask("A")
    expert = sign_in("tracking")
    with world.database.read() as db:
        number, job = world.view(db).calibration("A").id, db.scalars(select(func.max(Job.id))).one()
    page = expert.get(PAGE).text
    assert "has jobs that failed and asks <b>tracking</b>" in page
    assert "everything runs by itself" not in page
    assert "if A is decided now" in page
    assert "1 to decide" in expert.get("/processings").text
    assert "‖ held 1" in expert.get(f"/calibrations/{number}/jobs").text
    told = expert.get(f"/jobs/{job}").text
    assert "‖</span> held" in told
    assert "tracking or the manager decides, on the page of" in told
