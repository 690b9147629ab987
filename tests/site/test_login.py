"""Signing in and out."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import delete
from sqlalchemy.orm import Session
from werkzeug.security import generate_password_hash

from b2cal.core.clock import ManualClock
from b2cal.model import Database, Person, Role
from b2cal.site.entrance import TRIES

from .conftest import Browser
from .sample import PASSWORD

WRONG = "This name and password do not belong together."


def test_who_signs_in_goes_on_where_she_wanted(anonymous: Browser) -> None:
    first = anonymous.get("/processings/bucket23?show=mine")
    assert first.location == "/login?next=/processings/bucket23?show%3Dmine"
    form = anonymous.get(first.location).text
    assert 'value="/processings/bucket23?show=mine"' in form
    answer = anonymous.post("/login", username="tracking", password=PASSWORD, next="/processings/bucket23?show=mine")
    assert answer.location == "/processings/bucket23?show=mine"
    assert "E. Expert" in anonymous.get(answer.location).text


@pytest.mark.parametrize(
    "elsewhere",
    ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "/\t/evil.example", "evil"],
)
def test_a_log_in_leads_nowhere_else(anonymous: Browser, elsewhere: str) -> None:
    answer = anonymous.post("/login", username="tracking", password=PASSWORD, next=elsewhere)
    assert answer.location == "/"


def test_a_wrong_password_and_an_unknown_name_look_alike(anonymous: Browser) -> None:
    wrong = anonymous.post("/login", username="tracking", password="no")
    unknown = anonymous.post("/login", username="nobody", password="no")
    assert wrong.status_code == unknown.status_code == 401
    assert WRONG in wrong.text
    assert WRONG in unknown.text
    assert 'value="tracking"' in wrong.text  # the name is kept


def test_who_has_no_password_cannot_sign_in(anonymous: Browser, database: Database) -> None:
    database.write(lambda db: db.add(Person(username="new", full_name="N. New", role=Role.EXPERT, password_hash="")))
    assert anonymous.post("/login", username="new", password="").status_code == 401


def test_after_too_many_tries_of_an_account_its_address_waits_and_is_told_until_when(
    anonymous: Browser, clock: ManualClock, app: Flask
) -> None:
    """From elsewhere, the person whose account it is comes in."""
    for _ in range(TRIES["account from address"]):
        assert anonymous.post("/login", username="tracking", password="guess").status_code == 401
    answer = anonymous.post("/login", username="tracking", password=PASSWORD)
    assert answer.status_code == 429
    assert "Possible again at" in answer.text
    elsewhere = app.test_client()
    elsewhere.environ_base["REMOTE_ADDR"] = "192.0.2.7"
    assert Browser(elsewhere).post("/login", username="tracking", password=PASSWORD).status_code == 302
    assert anonymous.post("/login", username="muon", password=PASSWORD).status_code == 302
    clock.advance(timedelta(minutes=15, seconds=1))
    assert Browser(app.test_client()).post("/login", username="tracking", password=PASSWORD).status_code == 302


def test_who_came_in_may_be_wrong_as_often_again(app: Flask) -> None:
    for _ in range(2):
        browser = Browser(app.test_client())
        for _ in range(TRIES["account from address"] - 1):
            assert browser.post("/login", username="tracking", password="guess").status_code == 401
        assert browser.post("/login", username="tracking", password=PASSWORD).status_code == 302


def test_an_account_that_many_addresses_try_waits(anonymous: Browser, app: Flask) -> None:
    for number in range(TRIES["account"]):
        app.extensions["b2cal"].entrance.failed("tracking", f"192.0.2.{number}")
    assert anonymous.post("/login", username="tracking", password=PASSWORD).status_code == 429
    assert anonymous.post("/login", username="muon", password=PASSWORD).status_code == 302


def test_an_address_that_tries_many_names_waits(anonymous: Browser, app: Flask) -> None:
    for number in range(TRIES["address"]):
        app.extensions["b2cal"].entrance.failed(f"name{number}", "127.0.0.1")
    assert anonymous.post("/login", username="muon", password=PASSWORD).status_code == 429
    elsewhere = app.test_client()
    elsewhere.environ_base["REMOTE_ADDR"] = "192.0.2.7"
    assert Browser(elsewhere).post("/login", username="muon", password=PASSWORD).status_code == 302


def test_signing_out_ends_the_visit_for_a_copied_cookie_too(app: Flask, expert: Browser) -> None:
    cookie = expert.client.get_cookie("b2cal")
    assert cookie is not None
    thief = app.test_client()
    thief.set_cookie("b2cal", cookie.value)
    assert thief.get("/").status_code == 200
    expert.post("/logout")
    assert expert.get("/").status_code == 302
    assert thief.get("/").status_code == 302


def test_every_log_in_has_a_token_of_its_own(app: Flask, signed_in: Callable[[str], Browser]) -> None:
    first, second = (signed_in("tracking").client.get_cookie("b2cal") for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.value != second.value


@pytest.mark.parametrize(("pause_h", "times", "status"), [(7.9, 1, 200), (8.1, 1, 302), (5, 4, 200), (5, 5, 302)])
def test_a_visit_ends_after_eight_idle_hours_and_after_a_day(
    expert: Browser, clock: ManualClock, pause_h: float, times: int, status: int
) -> None:
    for _ in range(times):
        clock.advance(timedelta(hours=pause_h))
        answer = expert.get("/processings")
    assert answer.status_code == status


def test_who_is_no_longer_known_is_signed_out(app: Flask, anonymous: Browser, database: Database) -> None:
    def add(db: Session) -> None:
        secret = generate_password_hash("short", method="scrypt:1024:8:1")
        db.add(Person(username="guest", full_name="G. Guest", role=Role.EXPERT, password_hash=secret))

    database.write(add)
    anonymous.post("/login", username="guest", password="short")
    assert anonymous.get("/").status_code == 200
    database.write(lambda db: db.execute(delete(Person).where(Person.username == "guest")))
    assert anonymous.get("/").status_code == 302


def test_an_open_page_that_renews_itself_is_no_click(expert: Browser, clock: ManualClock) -> None:
    for _ in range(7):
        clock.advance(timedelta(hours=1))
        assert expert.get("/processings", headers={"HX-Request": "true"}).status_code == 200
    expert.get("/")
    for _ in range(9):
        clock.advance(timedelta(hours=1))
        answer = expert.get("/processings", headers={"HX-Request": "true"})
    assert answer.status_code == 401


@pytest.mark.parametrize("password_hash", [generate_password_hash("another", method="scrypt:1024:8:1"), ""])
def test_with_a_new_password_or_none_all_visits_are_over(
    expert: Browser, database: Database, password_hash: str
) -> None:
    assert expert.get("/").status_code == 200

    def unit(db: Session) -> None:
        db.get_one(Person, "tracking").password_hash = password_hash

    database.write(unit)
    assert expert.get("/").status_code == 302
    assert expert.post("/login", username="tracking", password=PASSWORD).status_code == 401
