"""Signing in and out."""

from typing import Any

from flask import Blueprint, redirect, render_template, request, session, url_for
from flask_login import login_user, logout_user
from werkzeug.security import check_password_hash, generate_password_hash
from werkzeug.wrappers import Response

from b2cal.model import Person
from b2cal.site.desk import Visitor, desk, reader, reading, visitor
from b2cal.site.security import own_page

pages = Blueprint("login", __name__)

# Checked for a name that nobody has, so that the answer takes as long as for one that somebody has.
_NOBODYS_PASSWORD = generate_password_hash("nobody has this password")


@pages.get("/login")
def form() -> str:
    return _form()


@pages.post("/login")
def sign_in() -> Response | tuple[str, int]:
    username, password = request.form.get("username", "").strip(), request.form.get("password", "")
    entrance, address = desk().entrance, request.remote_addr or ""
    shut_until = entrance.shut_until(username, address)
    if shut_until is not None:
        return _form(username, f"Too many tries. Possible again at {reader().plain(shut_until)}."), 429
    person = reading().get(Person, username)
    known = person.password_hash if person is not None and person.password_hash else _NOBODYS_PASSWORD
    if not check_password_hash(known, password) or person is None or not person.password_hash:
        entrance.failed(username, address)
        return _form(username, "This name and password do not belong together."), 401
    entrance.succeeded(username, address)
    session.clear()
    session.permanent = True
    login_user(Visitor(entrance.open(username, person.password_hash), person))
    return redirect(own_page(request.form.get("next", "")))


@pages.post("/logout")
def sign_out() -> Response:
    desk().entrance.close(visitor().token)
    logout_user()
    session.clear()
    return redirect(url_for("login.form"))


def _form(username: str = "", problem: str = "") -> str:
    wanted: Any = request.form.get("next") or request.args.get("next", "")
    return render_template("login.html", username=username, problem=problem, next=wanted)
