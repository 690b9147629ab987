"""Who gets in where: every route against everybody."""

from collections.abc import Callable

import pytest
from flask import Flask
from werkzeug.routing import Rule

from b2cal.model import Calibration, Database, Job, Payload
from b2cal.site.policy import POLICY, Access
from tests import factories

from .conftest import Browser

SAFE = {"GET", "HEAD", "OPTIONS"}

# Written out once more: whoever opens a page further says so here, too.
PUBLIC = {"static", "health.health", "login.form", "login.sign_in", "preferences.change"}
FOR_MANAGERS = {"processing_acting.form", "processing_acting.act", "vetoes.act"}


@pytest.fixture
def address(app: Flask, database: Database, find: Callable[..., Calibration]) -> Callable[[Rule], str]:
    """An address that a route answers, with things that exist."""
    with database.read() as db:
        job = db.query(Job).filter(Job.error != "").first()
        payload = db.query(Payload).first()
    assert job is not None
    assert payload is not None
    values = {
        "number": find("x-t relation").id,
        "attempt": 2,
        "name": "bucket23",
        "verb": "reject",
        "run": "e26r180",
        "stream": "stderr",
        "identity": payload.identity,
        "filename": "site.css",
        "file": "payload_0.svg",
    }

    def build(rule: Rule) -> str:
        known = {**values, **({"number": job.id} if rule.endpoint.startswith("jobs.") else {})}
        known |= {"name": "prompt"} if rule.endpoint.startswith("tags.") else {}
        known |= {"verb": "hold"} if rule.endpoint.startswith("processing_acting.") else {}
        known |= {"number": values["number"]} if rule.endpoint == "jobs.of_calibration" else {}
        with app.test_request_context():
            return app.url_map.bind("localhost").build(rule.endpoint, {name: known[name] for name in rule.arguments})

    return build


def test_every_route_has_a_row_and_every_row_a_route(app: Flask) -> None:
    assert {rule.endpoint for rule in app.url_map.iter_rules()} == set(POLICY)


def test_what_is_open_to_anyone_and_what_only_to_managers_is_a_short_list() -> None:
    assert {endpoint for endpoint, wanted in POLICY.items() if wanted is Access.ANYONE} == PUBLIC
    assert {endpoint for endpoint, wanted in POLICY.items() if wanted is Access.MANAGER} == FOR_MANAGERS


def test_a_route_without_a_row_is_closed_to_managers_too(
    app: Flask, manager: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(POLICY, "data.runs")
    assert manager.get("/data").status_code == 403


def test_nobody_sees_anything_without_signing_in(
    app: Flask, address: Callable[[Rule], str], anonymous: Browser
) -> None:
    for rule in app.url_map.iter_rules():
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            where = address(rule)
            data = {"csrf_token": anonymous.token()} if method not in SAFE else None
            answer = anonymous.client.open(where, method=method, data=data, buffered=True)
            if rule.endpoint in PUBLIC:
                assert answer.status_code in (200, 302, 401), (rule, method)
            elif method in SAFE:
                assert answer.status_code == 302, (rule, method)
                assert answer.location.startswith("/login?next="), (rule, method)
            else:
                assert answer.status_code == 401, (rule, method)


def test_pages_are_open_as_the_policy_says_and_looking_at_them_changes_nothing(
    app: Flask, address: Callable[[Rule], str], expert: Browser, manager: Browser, database: Database
) -> None:
    before = factories.contents(database)
    for rule in app.url_map.iter_rules():
        if "GET" not in (rule.methods or set()):
            continue
        where = address(rule)
        missing = 404 if rule.endpoint == "payloads.download" else 200  # the sample has no payload files
        assert manager.get(where).status_code == missing, rule
        assert expert.get(where).status_code == (403 if rule.endpoint in FOR_MANAGERS else missing), rule
    assert factories.contents(database) == before


@pytest.mark.parametrize("username", ["muon", "tracking", "second", "manager"])
def test_what_is_sent_is_taken_from_those_alone_who_may_send_it(
    app: Flask, address: Callable[[Rule], str], signed_in: Callable[[str], Browser], username: str
) -> None:
    somebody = signed_in(username)
    for rule in app.url_map.iter_rules():
        if not (rule.methods or set()) - SAFE or rule.endpoint == "login.sign_out":
            continue
        answer = somebody.post(address(rule), seen="0", reason="because")
        has_no_part = username == "muon" and rule.endpoint.startswith(("acting.", "submission."))
        for_managers = POLICY[rule.endpoint] is Access.MANAGER and username != "manager"
        if has_no_part or for_managers:
            assert answer.status_code == 403, (rule, username)
        else:
            assert answer.status_code in (302, 303, 401, 404, 409, 422), (rule, username)


def test_a_route_without_a_row_takes_nothing_from_managers_either(
    manager: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(POLICY, "processing_acting.act")
    assert manager.post("/processings/bucket23/do/hold", seen="1", reason="x").status_code == 403
