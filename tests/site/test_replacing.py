"""Bringing payloads made by hand: what comes in is kept apart, known by its contents, and gone afterwards."""

import html
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select

from b2cal.calibration import Payload
from b2cal.core.iov import ExpRun, IoV
from b2cal.model import Attempt, Base, Calibration, Database, Outcome, State
from b2cal.settings import LoopSettings, Settings

from .conftest import Browser, site_of

Find = Callable[..., Calibration]
Upload = tuple[io.BytesIO, str]


def upload(content: bytes, name: str = "mine.root") -> Upload:
    return io.BytesIO(content), name


def payload(name: str, folder: Path) -> Upload:
    Payload(name, IoV(ExpRun(26, 180), None), {"a": [1.0, 2.0]}).write(folder / "made.root")
    return upload((folder / "made.root").read_bytes(), "../../<b>made</b>.root")


def everything(database: Database, settings: Settings) -> tuple[dict[str, int], set[str]]:
    """Rows of each table, and all files of the home but those of databases."""
    with database.read() as db:
        rows = {t.name: db.scalar(select(func.count()).select_from(t)) or 0 for t in Base.metadata.sorted_tables}
    found = {str(path) for path in settings.home.rglob("*") if path.is_file() and ".db" not in path.name}
    return rows, found


def test_the_form_names_the_payloads_and_who_is_put_in_doubt(expert: Browser, find: Find) -> None:
    it = find("x-t relation")
    assert f'/calibrations/{it.id}/do/replace"' in expert.get(f"/calibrations/{it.id}").text
    text = expert.get(f"/calibrations/{it.id}/do/replace").text
    assert "SpaceResolutions, XtRelations: one ROOT file each" in text
    assert 'enctype="multipart/form-data"' in text
    assert "Up to 200 MB" in text
    assert "its payloads from prompt, clipped to the runs" in text
    assert "its payloads from local-23" not in text  # it holds others
    upstream = find("Time offsets")
    assert (
        "Put in doubt by it:</b> x-t relation (in review)" in expert.get(f"/calibrations/{upstream.id}/do/replace").text
    )


@pytest.mark.processes
def test_an_expert_replaces_the_payloads_and_the_names_of_her_files_are_dropped(
    expert: Browser, find: Find, database: Database, settings: Settings, tmp_path: Path
) -> None:
    it = find("x-t relation")
    files = [payload("XtRelations", tmp_path), payload("SpaceResolutions", tmp_path)]
    answer = expert.post(f"/calibrations/{it.id}/do/replace", seen=str(it.version), reason="by eye", files=files)
    assert answer.status_code == 303, answer.text
    page = expert.get(answer.location).text
    assert "x-t relation is replaced and will be judged." in page
    assert "(made by hand)" in page
    assert "Replaced" in page
    assert find("x-t relation").state is State.VALIDATING
    with database.read() as db:
        attempt = db.scalars(select(Attempt).where(Attempt.calibration_id == it.id, Attempt.live.is_(True))).one()
        assert attempt.outcome is Outcome.REPLACED
        kept = {settings.store / f"{made.payload.identity}.root" for made in attempt.payloads}
    assert len(kept) == 2
    assert all(path.is_file() for path in kept)
    assert list(settings.quarantine.iterdir()) == []
    assert not [path for path in tmp_path.rglob("*") if "<b>" in path.name]


@pytest.mark.processes
@pytest.mark.parametrize(
    ("contents", "why"),
    [
        ([b"root" + bytes(100)], "x-t relation: mine.root: its header is damaged"),
        ([b"PK\x03\x04" + bytes(100)], "The archive cannot be taken: it is neither a .tar nor a .zip"),
        ([b"\x1f\x8b" + bytes(100)], "The archive cannot be taken: it is neither a .tar nor a .zip"),
    ],
)
def test_what_only_looks_like_payloads_is_refused_and_nothing_is_left(
    expert: Browser, find: Find, database: Database, settings: Settings, contents: list[bytes], why: str
) -> None:
    it = find("x-t relation")
    before = everything(database, settings)
    files = [upload(content) for content in contents]
    answer = expert.post(f"/calibrations/{it.id}/do/replace", seen=str(it.version), reason="my words", files=files)
    assert answer.status_code == 422
    assert why in answer.text
    assert "my words" in answer.text
    assert everything(database, settings) == before


@pytest.mark.processes
def test_each_file_that_is_refused_is_called_as_its_owner_calls_it(
    expert: Browser, find: Find, tmp_path: Path, settings: Settings
) -> None:
    it = find("x-t relation")
    names = ["<i>one.root", "../../etc/passwd", "n" * 300 + ".root"]
    files = [payload("XtRelations", tmp_path), *(upload(b"root" + bytes(100), name) for name in names)]
    answer = expert.post(f"/calibrations/{it.id}/do/replace", seen=str(it.version), reason="my words", files=files)
    assert answer.status_code == 422
    refused = re.search(r"These payloads cannot replace those of x-t relation: ([^<]+)\.", answer.text)
    assert refused is not None
    why = "its header is damaged"
    known_as = ["<i>one.root", "passwd", "n" * 75 + ".root"]
    assert html.unescape(refused[1]) == "; ".join(f"{name}: {why}" for name in known_as)
    assert list(settings.quarantine.iterdir()) == []


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, "The form gives no payloads."),
        ({"tag": "prompt", "files": [(io.BytesIO(b"root"), "a.root")]}, "both files and a tag"),
        ({"tag": "nothing"}, "There is no global tag nothing"),
        ({"tag": "local-23"}, "XtRelations is missing; the calibration declares it"),
        ({"files": [(io.BytesIO(b"MZ not a payload"), "payload.root")]}, "neither payloads nor one archive"),
        ({"files": [(io.BytesIO(b""), "payload.root")]}, "neither payloads nor one archive"),
        (
            {"files": [(io.BytesIO(b"root"), "a.root"), (io.BytesIO(b"PK\x03\x04"), "b.zip")]},
            "neither payloads nor one archive",
        ),
    ],
)
def test_what_cannot_be_payloads_is_refused_by_how_it_begins(
    expert: Browser, find: Find, database: Database, settings: Settings, fields: dict[str, object], why: str
) -> None:
    it = find("x-t relation")
    before = everything(database, settings)
    answer = expert.post(f"/calibrations/{it.id}/do/replace", seen=str(it.version), reason="my words", **fields)
    assert answer.status_code in (404, 422)
    assert why in answer.text
    assert "my words" in answer.text
    assert everything(database, settings) == before


def test_who_may_not_replace_is_refused_whatever_she_sends(
    signed_in: Callable[[str], Browser], find: Find, database: Database, settings: Settings
) -> None:
    it = find("x-t relation")
    before = everything(database, settings)
    for username, why in (("muon", "not responsible"), ("second", "It is for: expert, manager")):
        files = [upload(b"root" + bytes(100))]
        answer = signed_in(username).post(
            f"/calibrations/{it.id}/do/replace", seen=str(it.version), reason="by hand", files=files
        )
        assert answer.status_code == 403, username
        assert why in answer.text, username
    assert everything(database, settings) == before


@pytest.fixture
def narrow(settings: Settings, app: Flask) -> Flask:
    """A site that takes no more than 100 kB of payloads."""
    return site_of(
        settings.model_copy(update={"loop": LoopSettings(by_hand_bytes=100_000)}),
        app.extensions["b2cal"].database.clock,
    )


def test_a_request_that_is_too_large_is_refused_before_it_is_read(narrow: Flask, find: Find) -> None:
    number = find("x-t relation").id
    expert, anonymous = Browser(narrow.test_client()), Browser(narrow.test_client())
    expert.sign_in("tracking")

    def status(browser: Browser, verb: str, n_bytes: int) -> int:
        content_type = "multipart/form-data; boundary=of-a-form"
        where = f"/calibrations/{number}/do/{verb}"
        head = b'--of-a-form\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
        body = head + bytes(n_bytes) + b"\r\n--of-a-form--\r\n"
        answer = browser.client.post(where, data=body, content_type=content_type, buffered=True)
        assert (answer.status_code == 413) == ("too much at once" in answer.text)
        return answer.status_code

    assert status(expert, "replace", 1_200_000) == 413
    assert status(expert, "reject", 1_050_000) == 413
    assert status(anonymous, "replace", 1_050_000) == 413
    assert status(expert, "replace", 1_050_000) == 400  # it is read, and has no token
    narrow.extensions["b2cal"].database.dispose()


def test_while_files_are_checked_others_are_asked_to_come_again_and_nothing_is_written(
    app: Flask, expert: Browser, find: Find, database: Database, settings: Settings, tmp_path: Path
) -> None:
    it = find("x-t relation")
    before = everything(database, settings)
    sent = {"seen": str(it.version), "reason": "by eye", "files": [payload("XtRelations", tmp_path)]}
    with app.extensions["b2cal"].checks_files:
        answer = expert.post(f"/calibrations/{it.id}/do/replace", **sent)
    assert answer.status_code == 409
    assert "The payloads of somebody else are being checked." in answer.text
    (tmp_path / "made.root").unlink()
    assert everything(database, settings) == before
