"""Payloads, tags, data, decisions, and what the demo found."""

import json
import re
from collections.abc import Callable
from html import unescape

from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from b2cal import loop
from b2cal.conditions import tag_named
from b2cal.core.iov import ExpRun
from b2cal.data import GONE
from b2cal.loop import Act, Actor
from b2cal.model import Calibration, Database, DataFile, Decision, Role, Run, UnreadableFile, now
from b2cal.settings import Settings

from .conftest import Browser
from .sample import NOW

Find = Callable[..., Calibration]


def test_a_payload_is_downloaded_by_its_identity(app: Flask, expert: Browser, find: Find, database: Database) -> None:
    with database.read() as db:
        attempt = loop.ProcessingView.of(db, "bucket23").attempts["x-t relation"]
        payload = attempt.payloads[0].payload
    path = app.extensions["b2cal"].workplace.store.path(payload.identity)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"root file")
    answer = expert.get(f"/payloads/{payload.identity}")
    assert answer.data == b"root file"
    assert f"{payload.name}_{payload.identity[:8]}.root" in answer.headers["Content-Disposition"]


def test_a_tag_shows_gaps_and_open_ends(expert: Browser) -> None:
    text = expert.get("/tags/prompt").text
    assert 'class="gap"' in text
    assert "gap e25r651 to e25r699" in text
    assert "open" in text


def test_data_names_what_is_missing_and_what_cannot_be_read(expert: Browser) -> None:
    text = expert.get("/data").text
    assert "▲ not all" in text
    assert "16,000" in text
    assert "The file ends in the middle of a basket" in text
    older = expert.get("/data?from=e26r1000").text
    assert "e26r1967" not in older
    nonsense = expert.get("/data?from=nonsense")
    assert nonsense.status_code == 200
    assert "Write a run as e26r180" in nonsense.text
    assert 'value="nonsense"' in nonsense.text


def test_data_says_what_is_there_twice_and_does_not_count_what_is_gone(expert: Browser, database: Database) -> None:
    number = ExpRun(26, 1967).number
    more = "▲ more than expected"

    def again(db: Session) -> None:
        it = db.scalars(select(DataFile).where(DataFile.exprun == number, DataFile.attempt_id.is_(None))).first()
        assert it is not None
        db.get_one(Run, number).expected = {it.data_name: it.n_events}
        facts = {name: getattr(it, name) for name in ("data_name", "exprun", "n_events", "format", "size_bytes")}
        db.add(DataFile(path="/second/it.root", mtime_ns=1, sha256="0" * 64, registered_at=now(db), **facts))

    assert more not in expert.get("/data").text
    database.write(again)
    row = next(row for row in expert.get("/data").text.split("<tr>") if "e26r1967</a>" in row)
    assert more in row
    assert "✓ all" not in row

    database.write(lambda db: db.add(UnreadableFile(path="/second/it.root", reason=GONE, seen_at=now(db))))
    page = expert.get("/data").text
    assert more not in page
    assert "1 registered file is not there any more" in page
    assert "/second/it.root" not in page
    assert f"▲ not used: {GONE}" in expert.get("/data/e26r1967").text


def test_what_was_done_to_a_tag_stands_among_the_decisions(expert: Browser, database: Database) -> None:
    def unit(db: Session) -> None:
        tag = tag_named(db, "prompt")
        act = Act(Actor("manager", Role.MANAGER), tag.version, "as measured on the bench")
        loop.add_to_tag(db, tag, [], act)

    database.write(unit)
    text = expert.get("/decisions").text
    assert "Constants added" in text
    assert '<td>tag <a href="/tags/prompt">prompt</a></td>' in text
    assert "as measured on the bench" in text


def test_decisions_can_be_looked_through(expert: Browser) -> None:
    people = expert.get("/decisions?processing=bucket23&who=people").text
    assert "Readout crate off since run 210" in people
    assert ">b2cal<" not in people.split("<tbody>")[1]
    hers = expert.get("/decisions?actor=manager").text
    assert "Published" in hers
    assert "too few hadrons" not in hers


def test_older_decisions_follow_page_by_page_with_the_same_choice(
    expert: Browser, find: Find, database: Database
) -> None:
    it = find("x-t relation")
    facts = {"at": NOW, "actor": "second", "role": Role.DEPUTY, "verb": "sign_off", "from_state": "", "to_state": ""}

    def unit(db: Session) -> None:
        for number in range(201):
            about = {"processing_id": it.processing_id, "calibration_id": it.id, "seen": "", "details": {}}
            db.add(Decision(**facts, **about, reason=f"note {number}"))

    database.write(unit)
    where, pages = "/decisions?actor=second", []
    while where:
        text = expert.get(where).text
        pages.append([int(number) for number in re.findall(r"“note (\d+)”", text)])
        link = re.search(r'href="([^"]+)">older decisions', text)
        where = unescape(link[1]) if link else ""
    assert [len(page) for page in pages] == [100, 100, 1]
    assert [number for page in pages for number in page] == list(range(200, -1, -1))


def test_what_publishing_changed_stays_to_be_read(expert: Browser) -> None:
    text = expert.get("/processings/bucket22/publication").text
    assert "by M. Manager" in text
    row = text[text.index("<b>Alignment</b>") :].split("</tr>")[0]
    runs = re.findall(r'href="/data\?from=([^"]+)"', row)
    assert runs == ["e25r1", "e25r699", "e25r700"]
    assert "→ open" in row


def test_decisions_tell_their_facts_in_words(expert: Browser, manager: Browser, find: Find) -> None:
    it = find("dE/dx gain")
    manager.post(f"/calibrations/{it.id}/do/reassign", seen=str(it.version), expert="muon")
    text = expert.get("/decisions").text
    assert "E. Expert → K. Muon" in text
    assert "max_events_hadron = 20000" in text
    assert '/processings/bucket22/publication">what it changed' in text
    assert "&#34;" not in text  # no JSON


def test_the_result_page_explains_itself_and_shows_what_the_demo_found(expert: Browser, settings: Settings) -> None:
    assert "No result yet." in expert.get("/result").text
    row = {
        "payload": "TimeOffsets", "values": 6880, "unit": "σ", "before": 69.1, "after": 1.01, "p": 0.62,
        "resolution": "time of a cluster, ns", "resolution_before": 4.66, "resolution_after": 0.507,
        "resolution_true": 0.506,
    }  # fmt: skip
    path = settings.folder("result.json")
    path.write_text(json.dumps([row, {**row, "payload": "MomentumScale", "p": 1e-9}]))
    text = expert.get("/result").text
    assert "TimeOffsets" in text
    assert "time of a cluster, ns" in text
    assert "✓ yes" in text
    assert "✕ no" in text
    assert "MomentumScale: not compatible with the truth" in text
    assert ">100.0 %<" in text
    path.write_text(json.dumps([{**row, "values": 0, "unit": "no constants", "before": 0, "after": 0, "p": 0}]))
    text = expert.get("/result").text
    assert "no constants" in text
    assert "✓ yes" not in text
    path.write_text("{")
    assert "cannot be read" in expert.get("/result").text
