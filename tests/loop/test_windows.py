"""The window of a calibration: reminders, the automatic submission, and who is quicker."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from b2cal import loop
from b2cal.loop import Act, Actor, Choice
from b2cal.model import Database, Decision, Job, Outbox, Role, StartPolicy, Submission
from tests.loop.world import START, Defined, World

Result = TypeVar("Result")
EXPERT = Actor("tracking", Role.EXPERT)


def submissions(world: World) -> list[Submission]:
    with world.database.read() as db:
        return list(db.scalars(select(Submission).order_by(Submission.id)))


def test_nothing_is_submitted_before_the_window_ends(world: World) -> None:
    world.tick(99.9)
    progress = world.advance("A")
    assert progress.state == "open"
    assert submissions(world) == []


def test_at_the_end_of_the_window_b2cal_submits_with_the_defaults(world: World) -> None:
    world.tick(100)
    assert world.advance("A").state == "running"
    (submission,) = submissions(world)
    assert submission.automatic
    assert submission.config == {"events": 10}


def test_the_expert_is_reminded_once_at_half_and_once_at_four_fifths(world: World) -> None:
    due = []
    for seconds in (49, 1, 1, 28, 1, 1, 1):
        world.tick(seconds)
        progress = world.advance("A")
        with world.database.read() as db:
            due.append(len(db.scalars(select(Outbox).where(Outbox.kind == "message")).all()))
    assert due == [0, 1, 1, 1, 2, 2, 2]
    assert progress.next_due is not None


def test_next_due_is_the_next_reminder_then_the_end(world: World) -> None:
    window_start = world.clock.now()
    assert (world.advance("A").next_due - window_start).total_seconds() == 50
    world.tick(80)
    world.advance("A")
    assert (world.advance("A").next_due - window_start).total_seconds() == 100


def test_who_says_only_which_runs_keeps_the_filters_of_the_script(world: World) -> None:
    world.do("submit", "A", Choice(selection={"exclude": ["e26r101"]}))
    (submission,) = submissions(world)
    assert submission.selection == {"filters": {"bhabha": ["Good", "bhabha"]}, "exclude": ["e26r101"]}


def test_who_says_which_runs_chooses_them_anew_with_the_filters_of_the_manager(world: World) -> None:
    world.do("select_data", "A", {"filters": {"bhabha": ["Good"]}, "exclude": ["e26r101"]})
    world.do("submit", "A", Choice(selection={"only": ["e26r102"]}))
    (submission,) = submissions(world)
    assert submission.selection == {"filters": {"bhabha": ["Good"]}, "only": ["e26r102"]}


def test_a_definition_without_filters_waits_for_the_managers_selection(tmp_path: Path) -> None:
    world = World(tmp_path, (Defined("A", filters=False),))
    world.process()
    world.tick(101)
    assert world.advance("A").state == "open"
    with world.database.read() as db:
        asks = db.scalars(select(Outbox).where(Outbox.key.startswith("asks:"))).all()
    assert [message.body["to"] for message in asks] == ["manager"]
    world.do("select_data", "A", {"filters": {"bhabha": ["Good"]}})
    assert world.advance("A").state == "running"


def test_the_jobs_get_each_file_under_the_data_name_that_reads_its_stream(tmp_path: Path) -> None:
    world = World(tmp_path, (Defined("A", data_name="signal"),))
    world.process()
    world.do("submit", "A")
    assert world.advance("A").state == "running"
    with world.database.read() as db:
        attempt = world.view(db).attempts["A"]
        assert [(frozen.data_name, frozen.file.data_name) for frozen in attempt.files] == [("signal", "bhabha")] * 5
        (job,) = db.scalars(select(Job))
        assert {(file["data_name"], file["stream"]) for file in job.spec["inputs"]} == {("signal", "bhabha")}


def test_what_was_rejected_is_not_submitted_again_by_itself(world: World) -> None:
    world.do("submit", "A")
    world.advance("A")
    world.jobs_end("A", 1)
    world.judged("A")
    world.do("reject", "A", reason="wrong")
    world.tick(51)
    assert world.advance("A").state == "open"
    with world.database.read() as db:
        assert "was rejected" in world.view(db).calibration("A").problem
    world.do("submit", "A", Choice({"events": 11}))
    assert world.advance("A").state == "running"


def test_an_automatic_submission_that_turns_out_to_be_the_rejected_combination_is_taken_back(world: World) -> None:
    """At the end of its window B would read other constants than were rejected; when it may start, the same again."""
    for name in "AB":
        world.do("submit", name)
    world.finish("A", 1)
    world.advance("B")
    world.jobs_end("B", 1)
    world.judged("B")
    world.do("reject", "B", reason="wrong")
    world.do("restart", "A")
    world.tick(51)
    assert world.advance("B").state == "submitted"
    world.finish("A", 1)
    assert world.advance("B").state == "open"
    assert world.decisions()[-1].actor == "b2cal"
    with world.database.read() as db:
        asks = db.scalars(select(Outbox).where(Outbox.key.startswith("asks:"))).all()
        why = loop.why(world.view(db), world.view(db).calibration("B"), world.clock.now()).sentence
    assert [f"Rejected by manager: wrong. {message.body['text']}" for message in asks] == [why]
    assert "Not submitted: the same configuration on the same inputs and constants was rejected" in why

    world.do("submit", "B")
    assert world.advance("B").state == "running"


def test_with_other_constants_upstream_the_rejected_configuration_is_submitted_again(world: World) -> None:
    for name in "AB":
        world.do("submit", name)
    world.finish("A", 1)
    world.advance("B")
    world.jobs_end("B", 1)
    world.judged("B")
    world.do("reject", "B", reason="wrong")
    world.tick(51)
    assert world.advance("B").state == "open"
    world.do("restart", "A")
    world.finish("A", 2)
    assert world.advance("B").state == "running"
    assert [submission.automatic for submission in submissions(world)] == [False, False, True]


def test_a_reject_opens_a_new_window(world: World) -> None:
    world.do("submit", "A")
    world.advance("A")
    world.jobs_end("A", 1)
    world.judged("A")
    world.tick(1000)
    world.do("reject", "A")
    with world.database.read() as db:
        left = world.view(db).calibration("A").window_ends_at - world.clock.now()
    assert left.total_seconds() == 50


def test_a_withdrawn_submission_is_open_again_until_the_window_ends(world: World) -> None:
    world.do("submit", "A")
    world.do("withdraw", "A")
    assert world.state("A") == "open"
    world.do("submit", "A")
    world.tick(100)
    with pytest.raises(loop.Conflict, match="window"):
        world.do("withdraw", "A")
    assert world.state("A") == "submitted"


def test_an_extended_window_ends_later(world: World) -> None:
    world.do("extend", "A", 1.0)
    world.tick(3600 + 99)
    assert world.advance("A").state == "open"
    world.tick(1)
    assert world.advance("A").state == "running"


def test_start_at_the_deadline_waits_for_the_end_of_the_window(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.process(start=StartPolicy.DEADLINE)
    world.do("submit", "A")
    progress = world.advance("A")
    assert progress.state == "submitted"
    assert progress.next_due == world.clock.now() + timedelta(seconds=100)
    world.tick(100)
    assert world.advance("A").state == "running"


@pytest.mark.parametrize("tries", [20, pytest.param(1000, marks=[pytest.mark.proof, pytest.mark.timeout(1800)])])
def test_a_click_in_the_second_of_the_automatic_submission_gives_exactly_one(world: World, tries: int) -> None:
    """Both at once from two threads, the click from earlier to later; the loser is told and leaves nothing."""
    world.tick(100)
    told: list[str] = []
    automatic = 0
    for number in range(tries):
        before, told_before = len(submissions(world)), len(told)
        click_while_the_loop_submits(world, told, ahead_s=0.03 - 0.06 * number / tries)
        (made,) = submissions(world)[before:]
        assert made.automatic == (len(told) > told_before)
        assert made.config == {"events": 10 if made.automatic else 12}
        automatic += made.automatic
        world.do("veto", "A")
        world.do("lift", "A")
        world.tick(50)
    assert 0 < automatic < tries, "one of the two was always quicker: it was no race"
    with world.database.read() as db:
        submits = db.scalars(select(Decision).where(Decision.verb == "submit")).all()
    assert len(submits) == tries
    assert automatic == len(told) == sum(decision.actor == "b2cal" for decision in submits)
    assert all("A is" in text for text in told)


def click_while_the_loop_submits(world: World, told: list[str], ahead_s: float) -> None:
    with world.database.read() as db:
        calibration = world.view(db).calibration("A")
    act = Act(EXPERT, calibration.version)
    barrier = threading.Barrier(2)

    def click() -> None:
        barrier.wait()
        time.sleep(max(0.0, -ahead_s))
        try:
            world.database.write(lambda db: loop.submit(db, calibration.id, Choice({"events": 12}), act))
        except loop.Conflict as conflict:
            told.append(str(conflict))

    def at_the_end() -> None:
        barrier.wait()
        time.sleep(max(0.0, ahead_s))
        world.advance("A")

    threads = [threading.Thread(target=click), threading.Thread(target=at_the_end)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class ClickedInBetween(Database):
    """The calibration database, in which somebody acts after the loop has looked and before it writes."""

    def __init__(self, world: World, click: Callable[[], None]) -> None:
        self.clock, self.engine = world.clock, world.database.engine
        self.clicks = [click]

    def write(self, unit: Callable[[Session], Result]) -> Result:
        if self.clicks:
            self.clicks.pop()()
        return super().write(unit)


def test_who_clicks_after_the_loop_has_looked_and_before_it_writes_is_quicker(world: World) -> None:
    world.tick(100)
    database = ClickedInBetween(world, lambda: world.do("submit", "A", Choice({"events": 12})))
    progress = loop.advance(replace(world.workplace, database=database), "bucket1", "A")
    key = ("bucket1", "A")
    assert loop.signals(world.workplace, [key])[key][0] > progress.signal, "its task must look again at once"
    (made,) = submissions(world)
    assert (made.automatic, made.config) == (False, {"events": 12})


def test_the_windows_of_a_processing_end_with_the_last_that_is_open_now(world: World) -> None:
    def end() -> datetime | None:
        with world.database.read() as db:
            return world.view(db).windows_end_at(world.clock.now())

    assert end() == START + timedelta(seconds=100)
    world.do("extend", "B", 1)
    assert end() == START + timedelta(seconds=100 + 3600)
    world.do("submit", "B")
    assert end() == START + timedelta(seconds=100)
    world.tick(100)
    assert end() is None
