"""The page of a running job shows the end of its log and follows it; where the log is elsewhere it says so."""

import re
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from playwright.sync_api import Request, expect
from sqlalchemy import select

from b2cal.core.clock import ManualClock
from b2cal.loop import log_brought, wanted_logs
from b2cal.model import Database, Job, JobState
from b2cal.settings import Settings

from .conftest import NARROW, Browser, Open, site_of
from .sample import NOW

Lines = Callable[[int], None]


@pytest.fixture
def running(database: Database) -> Job:
    """A job that runs."""
    with database.read() as db:
        job = db.scalars(select(Job).where(Job.state == JobState.RUNNING).order_by(Job.id)).first()
        assert job is not None
        db.expunge_all()
    return job


@pytest.fixture
def log_of(settings: Settings) -> Callable[[Job], Lines]:
    """Makes the log of a job so many lines long."""

    def begin(job: Job) -> Lines:
        folder = settings.attempts / job.folder
        folder.mkdir(parents=True, exist_ok=True)

        def write(n_lines: int) -> None:
            (folder / "stderr").write_text("".join(f"chunk {number} of many\n" for number in range(1, n_lines + 1)))

        return write

    return begin


def polled(text: str) -> str:
    """The address that a page asks every few seconds."""
    found = re.search(r'<div id="live" data-live hx-get="([^"]+)"', text)
    return found.group(1).replace("&amp;", "&") if found else ""


def ends(database: Database, job: Job) -> None:
    database.write(lambda db: setattr(db.get_one(Job, job.id), "state", JobState.DONE))


def test_the_page_of_a_running_job_follows_the_end_of_its_log(
    expert: Browser, running: Job, log_of: Callable[[Job], Lines]
) -> None:
    write = log_of(running)
    write(500)
    text = expert.get(f"/jobs/{running.id}").text
    assert "follows its end" in text
    assert 'id="L500"' in text
    again = polled(text)
    htmx = {"HX-Request": "true"}
    assert expert.get(again, headers=htmx).status_code == 204
    write(510)
    more = expert.get(again, headers=htmx)
    assert 'id="L510"' in more.text
    assert 'id="L110"' not in more.text
    assert "<html" not in more.text
    assert "seen=" not in "".join(re.findall(r'href="([^"]+)"', more.text))


def test_what_was_ended_or_is_read_from_a_line_on_is_not_asked_for_again(
    expert: Browser, database: Database, running: Job, log_of: Callable[[Job], Lines]
) -> None:
    log_of(running)(500)
    again = polled(expert.get(f"/jobs/{running.id}").text)
    assert again
    assert polled(expert.get(f"/jobs/{running.id}?line=1").text) == ""
    ends(database, running)
    last = expert.get(again, headers={"HX-Request": "true"})
    assert last.status_code == 200
    assert "hx-get" not in last.text
    assert 'id="L500"' in last.text
    assert polled(expert.get(f"/jobs/{running.id}").text) == ""


def test_a_job_that_has_printed_nothing_yet_says_so(expert: Browser, running: Job) -> None:
    text = expert.get(f"/jobs/{running.id}").text
    assert "The job has written nothing there so far." in text
    assert "comes back with the job" not in text


@pytest.fixture
def on_htcondor(settings: Settings, running: Job, database: Database) -> Iterator[Flask]:
    """The site of a home that describes the centre of the running job as an HTCondor pool."""
    with database.read() as db:
        centre = db.get_one(Job, running.id).group.attempt.calibration.processing.centre
    pool = Settings(home=settings.home, centres={centre: {"backend": "htcondor"}})  # type: ignore[dict-item]
    site = site_of(pool, ManualClock(NOW))
    yield site
    site.extensions["b2cal"].database.dispose()


def test_what_a_job_on_htcondor_prints_is_brought_when_somebody_asks_and_all_of_it_comes_back_with_it(
    on_htcondor: Flask, settings: Settings, running: Job, database: Database, log_of: Callable[[Job], Lines]
) -> None:
    expert = Browser(on_htcondor.test_client())
    expert.sign_in("tracking")
    page = f"/jobs/{running.id}"
    assert "Look at what it prints" in (text := expert.get(page).text)
    assert "brought when somebody asks" in text
    assert "has written nothing" not in text
    for _ in range(2):
        assert expert.post(f"{page}/look").status_code == 303
    with database.read() as db:
        assert [(job.id, job.batch_id) for job in wanted_logs(db)] == [(running.id, running.batch_id)]
    assert "is being brought" in (text := expert.get(page).text)
    assert "Look at what it prints" not in text

    (settings.attempts / running.folder).mkdir(parents=True, exist_ok=True)
    (settings.attempts / running.folder / "printed_so_far").write_text("step 1\nstep 2\n")
    database.write(lambda db: log_brought(db, running.id))
    text = expert.get(page).text
    assert ">2</a>step 2</li>" in text
    assert "Look again" in text

    log_of(running)(3)
    ends(database, running)
    text = expert.get(page).text
    assert 'id="L3"' in text
    assert "step 2" not in text
    assert "Look again" not in text
    assert expert.post(f"{page}/look").status_code == 409


@pytest.mark.browser
@pytest.mark.parametrize("size", [NARROW, {"width": 1280, "height": 900}], ids=["390", "1280"])
def test_an_open_page_stays_at_the_end_of_a_growing_log_until_the_job_ends(
    visit: Open, database: Database, running: Job, log_of: Callable[[Job], Lines], size: dict[str, int]
) -> None:
    write = log_of(running)
    write(450)
    page = visit("tracking", size)
    page.clock.install()
    page.goto(f"/jobs/{running.id}")
    expect(page.locator("#L450")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    write(480)
    expect(page.locator("#L480")).to_be_in_viewport(timeout=10_000)
    page.evaluate("scrollTo(0, 0)")
    for n_lines in (490, 495):
        write(n_lines)
        expect(page.locator(f"#L{n_lines}")).to_be_attached(timeout=10_000)
    assert page.evaluate("scrollY") == 0  # who reads further up is left there
    ends(database, running)
    expect(page.locator("#still")).to_be_attached(timeout=10_000)
    expect(page.locator("#age")).to_have_text("ended: nothing here changes any more")
    asked: list[Request] = []

    def note(request: Request) -> None:
        asked.append(request)

    page.on("request", note)
    page.clock.run_for(20_000)
    assert asked == []
