"""Whatever people and scripts write into whatever field is shown as text, and nothing it says is done."""

import shutil
from collections.abc import Iterator
from html import escape
from pathlib import Path
from urllib.parse import quote

import pytest
from flask import Flask
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from b2cal.core.clock import ManualClock
from b2cal.model import Calibration, Database, Job
from b2cal.site.queries.evidence import Series, table

from . import sample
from .conftest import OF_A_CALIBRATION, PAGES, Browser, site_of
from .hostile import EVIL, hostile, poison
from .test_security import Tags


@pytest.fixture(scope="module")
def poisoned(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """The site over a database in which every free text is hostile; nobody changes anything there."""
    folder = tmp_path_factory.mktemp("poisoned")
    shutil.copytree(template, folder, dirs_exist_ok=True)
    settings = sample.settings(folder)
    site = site_of(settings, ManualClock(sample.NOW))
    database: Database = site.extensions["b2cal"].database

    def unit(db: Session) -> int:
        db.execute(text("PRAGMA defer_foreign_keys = ON"))  # names change in one table after the other
        return poison(db, settings)

    assert database.write(unit) > 40
    yield site
    database.dispose()


@pytest.fixture
def manager(poisoned: Flask) -> Browser:
    browser = Browser(poisoned.test_client())
    browser.sign_in(hostile("manager"))
    return browser


@pytest.fixture
def addresses(poisoned: Flask) -> list[str]:
    database: Database = poisoned.extensions["b2cal"].database
    with database.read() as db:
        one_of_each = {it.state: it.id for it in db.scalars(select(Calibration).order_by(Calibration.id))}
        job = db.scalars(select(Job.id).where(Job.error != "").order_by(Job.id)).first()
    names = ("bucket22", "bucket23", "bucket24", "proc12-chunk3", "prompt")
    pages = list(PAGES)
    for name in names:
        pages = [page.replace(f"/{name}", f"/{quote(hostile(name), safe='')}") for page in pages]
    of_one = [f"/calibrations/{number}{page}" for number in one_of_each.values() for page in ("", "/submit")]
    return [
        *pages,
        *of_one,
        *(f"/calibrations/{one_of_each['review']}{page}" for page in OF_A_CALIBRATION),
        f"/jobs/{job}",
    ]


def test_hostile_texts_are_shown_as_texts_on_every_page(manager: Browser, addresses: list[str]) -> None:
    shown = 0
    for where in addresses:
        answer = manager.get(where)
        assert answer.status_code == (404 if where == "/nothing-here" else 200), where
        for tag, attributes in Tags(answer.text).tags:
            assert tag != "x-evil", where
            assert "onevil" not in attributes, (where, tag)
            assert "onerror" not in attributes, (where, tag)
        assert escape(EVIL).replace("{{7*7}}", "49")[:60] not in answer.text, where
        shown += answer.text.count("&lt;x-evil onevil=1&gt;")
    assert shown > 1000


def test_hostile_forms_come_back_as_they_were_typed(manager: Browser, poisoned: Flask) -> None:
    database: Database = poisoned.extensions["b2cal"].database
    with database.read() as db:
        it = db.scalars(select(Calibration).where(Calibration.state == "open")).first()
        assert it is not None
        number, key = it.id, next(iter(it.definition.settings["expert_config"]))
    typed = f"</textarea></title></script>{EVIL}"
    for answer in (
        manager.post(f"/calibrations/{number}/submit", seen="0", **{f"config.{key}": typed, "exclude": typed}),
        manager.post(f"/calibrations/{number}/do/veto", seen="0", reason=typed, fallback=typed),
        manager.post(f"/calibrations/{number}/do/extend", seen="0", reason=typed, hours=typed),
        manager.post("/login", username=typed, password="x", next=typed),
    ):
        assert answer.status_code >= 400
        parsed = Tags(answer.text)
        assert not any(tag in ("x-evil", "img") or "onevil" in attributes for tag, attributes in parsed.tags)
        assert parsed.inline == []
        assert "&lt;/textarea&gt;" in answer.text


@pytest.mark.parametrize(
    ("content", "size"),
    [(b"x" * 5_000_000, "5.0 MB"), (b"\n" * 5_000_000, "5.0 MB"), ((b"y" * 99 + b"\n") * 1_000_000, "100 MB")],
    ids=["one line", "empty lines", "100 MB"],
)
def test_a_log_of_100_mb_is_a_page_of_bounded_size(app: Flask, expert: Browser, content: bytes, size: str) -> None:
    workplace = app.extensions["b2cal"].workplace
    with workplace.database.read() as db:
        job = db.scalars(select(Job).where(Job.error.contains("Operation expired")).order_by(Job.id)).first()
    assert job is not None
    (workplace.settings.attempts / job.folder / "stderr").write_bytes(content + b"[ERROR] the last line\n")
    answer = expert.get(f"/jobs/{job.id}")
    assert answer.status_code == 200
    assert len(answer.data) < 200_000
    assert f" {size}" in answer.text


def test_a_log_may_hold_anything(app: Flask, expert: Browser) -> None:
    workplace = app.extensions["b2cal"].workplace
    with workplace.database.read() as db:
        job = db.scalars(select(Job).where(Job.error.contains("Operation expired")).order_by(Job.id)).first()
    assert job is not None
    lines = [b"\x00\xff\xfe invalid", b"\x1b[31mred\x1b[0m", b"\x1b]0;title\x07", f"</ol>{EVIL}".encode(), b"a\rb"]
    (workplace.settings.attempts / job.folder / "stderr").write_bytes(b"\n".join(lines))
    answer = expert.get(f"/jobs/{job.id}")
    assert answer.status_code == 200
    assert "\x1b" not in answer.text
    assert "\x00" not in answer.text
    assert not any(tag in ("x-evil", "img") for tag, _ in Tags(answer.text).tags)
    assert expert.get(f"/jobs/{job.id}/log/stderr").data == b"\n".join(lines)


def test_numbers_for_spreadsheets_hold_no_formula() -> None:
    check = {"low": None, "high": 1.0, "grade": "pass"}
    rows = list(table([Series({"name": "=cmd()", "unit": "@x", "axis": "-y", "values": [-1.0]}, check)]))
    assert rows[1] == ("'=cmd()", "'@x", "'-y", 0, -1.0, None, None, None, 1.0)
