"""The tables of jobs: what was asked for, what each job used, why it failed and what was done, page by page."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from b2cal.core.failures import Source
from b2cal.model import Attempt, Calibration, Database, GroupState, Job, JobGroup, JobState, Processing, Stage
from b2cal.site.queries.jobs import PAGE
from tests import factories

from .conftest import Browser
from .sample import NOW
from .test_numbers_of_questions import counted

Find = Callable[..., Calibration]
HEAVIEST_BYTES = 150_000


def links(text: str) -> dict[str, str]:
    """Where the links of a page lead, by their words."""
    found = re.findall(r'<a[^>]*href="([^"]+)"[^>]*>(.*?)</a>', text, re.DOTALL)
    return {re.sub(r"<[^>]+>", "", words).strip(): where.replace("&amp;", "&") for where, words in found}


def rows(text: str) -> list[str]:
    return re.findall(r"<tr>.*?</tr>", text.partition("<tbody>")[2], re.DOTALL)


def many(db: Session, calibration: int, n_jobs: int = 5000) -> None:
    """A new attempt with so many jobs, of which each third was killed for its memory; all with a lot to say."""
    attempt = factories.attempt(db, db.get_one(Calibration, calibration))
    group = factories.group(db, attempt, 0, state=GroupState.SUBMITTED, epoch=1)
    again = factories.group(db, attempt, 0, state=GroupState.SUBMITTED, epoch=1, round=1)
    rule = "Rule hold 34, more memory: it used more than it had asked for, and the pool does not give it. "
    row = {
        "label": "runs e26r180 to e26r1967 of hadron and cosmic, part two of the second half of the run range",
        "spec": {"input_files": ["/data/file.root"] * 20},
        "started_at": NOW - timedelta(hours=1),
        "host": "a-rather-long-name-of-a-worker-0001.example.org",
    }
    failed = row | {
        "state": JobState.FAILED,
        "source": Source.HOLD,
        "code": 34,
        "error": "The system macro SYSTEM_PERIODIC_HOLD expression evaluated to TRUE. " * 5,
        "retry": rule * 3,
        "ended_at": NOW - timedelta(minutes=9),
        "memory_bytes": 2**31,
        "cpu_s": 3000.0,
    }
    running = row | {"state": JobState.RUNNING}
    numbers = range(n_jobs)
    db.execute(insert(Job), [{**failed, "group_id": group.id, "number": n} for n in numbers if n % 3 == 0])
    db.execute(insert(Job), [{**running, "group_id": group.id, "number": n} for n in numbers if n % 3])
    db.execute(insert(Job), [{**running, "group_id": again.id, "number": n} for n in numbers if n % 3 == 0])


def test_counts_by_state_are_links_to_the_filter(expert: Browser, find: Find) -> None:
    page = f"/calibrations/{find('x-t relation').id}/jobs"
    found = links(expert.get(page).text)
    assert found["✕ failed 5"] == f"{page}?state=failed"
    only = expert.get(found["✕ failed 5"]).text
    assert len(rows(only)) == only.count("Operation expired") == 5
    assert links(only)["✓ done 240"] == f"{page}?state=done"
    assert links(only)["all 245"] == page


def test_a_table_goes_on_where_the_page_before_ended(expert: Browser, find: Find) -> None:
    page = f"/calibrations/{find('x-t relation').id}/jobs"
    seen: list[str] = []
    text = expert.get(f"{page}?state=done&text=runs").text
    while True:
        seen += rows(text)
        following = links(text).get("next page")
        if following is None:
            break
        assert {"state=done", "text=runs"} <= set(following.partition("?")[2].split("&"))
        text = expert.get(following).text
    assert len({re.findall(r"/jobs/\d+", row)[0] for row in seen}) == len(seen) == 240
    assert links(text)["first page"] == f"{page}?state=done&text=runs"


def test_the_form_keeps_what_was_asked_for_and_needs_no_script(expert: Browser, find: Find) -> None:
    page = f"/calibrations/{find('x-t relation').id}/jobs"
    text = expert.get(f"{page}?state=failed&stage=collect&source=exit&host=acas&text=r1&order=memory&attempt=1").text
    form = text.partition('role="search"')[2].partition("</form>")[0]
    assert re.findall(r'<option(?: value="([^"]*)")? selected>', form) == ["1", "", "exit", "memory"]
    assert "<option selected>collect</option>" in form
    assert 'name="state" value="failed"' in form
    assert 'name="host"' in form
    assert re.findall(r'value="(acas|r1)"', form) == ["acas", "r1"]
    assert "None that fits." in text
    assert set(links(text)["show all"].partition("?")[2].split("&")) == {"state=failed", "order=memory", "attempt=1"}


def test_an_attempt_is_chosen_by_its_number_and_the_latest_stands_first(expert: Browser, find: Find) -> None:
    page = f"/calibrations/{find('x-t relation').id}/jobs"
    assert "all 245" in expert.get(page).text
    assert "all 40" in expert.get(f"{page}?attempt=1").text
    assert "all 245" in expert.get(f"{page}?attempt=77").text


def test_a_job_says_what_it_used_why_it_failed_and_what_was_done(
    expert: Browser, database: Database, find: Find
) -> None:
    def unit(db: Session) -> tuple[int, int]:
        attempt = db.scalars(select(Attempt).where(Attempt.calibration_id == find("x-t relation").id)).all()[-1]
        fit = factories.group(db, attempt, 0, stage=Stage.FIT, state=GroupState.FAILED, epoch=1)
        again = factories.group(db, attempt, 0, stage=Stage.FIT, state=GroupState.SUBMITTED, epoch=1, round=1)
        failed = factories.job(
            db,
            fit,
            state=JobState.FAILED,
            source=Source.HOLD,
            code=34,
            error="Used more memory than it asked for",
            retry="Rule hold 34, more memory: the pool held it. Tried again at once with 4000 MB, as try 2 of 4.",
            memory_mb=2000,
            memory_bytes=1900 * 2**20,
            disk_bytes=300 * 2**20,
            limits={"wall_s": 7200, "cpu_s": 3600, "disk_bytes": 2**30},
            cpu_s=600.0,
            host="acas7",
            folder="1/fit-0/r0e1/0/1",
            started_at=NOW - timedelta(minutes=40),
            ended_at=NOW - timedelta(minutes=28),
        )
        trying = factories.job(db, again, state=JobState.RUNNING, memory_mb=4000, started_at=NOW - timedelta(minutes=5))
        return failed.id, trying.id

    failed, trying = database.write(unit)
    text = expert.get(f"/calibrations/{find('x-t relation').id}/jobs?stage=fit").text
    second, first = rows(text)
    for said in (
        "1,900 of 2,000 MB",
        "disk 300 of 1,024 MB",
        "10 min",
        "took 12 min on acas7",
        "hold 34",
        "Used more memory than it asked for",
        "→ Rule hold 34, more memory: the pool held it. Tried again at once with 4000 MB, as try 2 of 4.",
    ):
        assert said in first
    assert links(first)["its log"] == f"/jobs/{failed}#end"
    assert links(first)["try 2"] == f"/jobs/{trying}"
    assert links(second)["try 1"] == f"/jobs/{failed}"
    assert "asks for 4,000 MB" in second
    assert "for 5 min" in second
    text = expert.get(f"/jobs/{failed}").text
    for said in ("took 12 min of 2.0 h", "10 min of 1.0 h CPU", "memory 1,900 of 2,000 MB", "disk 300 of 1,024 MB"):
        assert said in text


def test_jobs_of_a_processing_are_those_of_all_attempts_that_count(
    expert: Browser, database: Database, find: Find
) -> None:
    with database.read() as db:
        of = select(Job.id).join(JobGroup).join(Attempt).join(Calibration).join(Processing)
        its = db.scalars(of.where(Processing.name == "bucket23", Attempt.live.is_(True))).all()
    text = expert.get("/processings/bucket23/jobs").text
    assert f"all {len(its)}" in text
    assert links(rows(text)[0])["x-t relation"] == f"/calibrations/{find('x-t relation').id}"
    assert links(expert.get("/processings/bucket23").text)["all jobs"] == "/processings/bucket23/jobs"
    assert expert.get("/processings/nowhere/jobs").status_code == 404


def test_a_cursor_that_does_not_fit_is_explained(expert: Browser, find: Find) -> None:
    answer = expert.get(f"/calibrations/{find('x-t relation').id}/jobs?order=memory&after=number:1:2")
    assert answer.status_code == 422
    assert "is no place in a table of jobs by memory" in answer.text


@pytest.mark.parametrize("query", ["", "?order=memory", "?order=started", "?order=cpu&state=failed", "?text=macro"])
def test_a_page_of_5000_jobs_is_light_and_asks_no_more_than_one_of_few(
    expert: Browser, database: Database, find: Find, query: str
) -> None:
    it = find("x-t relation")
    page = f"/calibrations/{it.id}/jobs{query}"
    with counted(database) as few:
        expert.get(page)
    database.write(lambda db: many(db, it.id))
    with counted(database) as asked:
        answer = expert.get(page)
    assert answer.status_code == 200
    assert len(rows(answer.text)) == PAGE
    assert len(answer.data) < HEAVIEST_BYTES
    assert len(asked) <= len(few) + 1
