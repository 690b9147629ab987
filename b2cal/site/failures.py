"""What goes wrong, as a page: what happened, why, what to do next, and what was typed in; never a traceback."""

import structlog
from flask import Flask, g, render_template, request
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DatabaseError, OperationalError
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from b2cal import conditions, loop
from b2cal.core.errors import B2calError
from b2cal.core.ids import new_token

from .desk import stop_reading

Answer = tuple[str, int]

_log = structlog.get_logger(__name__)
_STATUS: dict[type[B2calError], int] = {
    loop.NotFound: 404,
    conditions.UnknownTag: 404,
    conditions.InvalidLocalDatabase: 422,
    loop.NotAllowed: 403,
    loop.Conflict: 409,
    loop.Repeated: 409,
    loop.InvalidChoice: 422,
    loop.InvalidConfig: 422,
}
_TITLES = {
    400: "The request could not be read",
    401: "You are not signed in",
    403: "This is not open to you",
    404: "There is no such page",
    405: "That is not possible here",
    409: "Something else happened first",
    413: "That was too much at once",
    422: "That cannot be used",
    429: "Too many tries",
    503: "b2cal cannot answer now",
}
_NEXT = {
    400: "Go back, load the page again and send the form once more.",
    401: "Sign in; what you typed stands below.",
    403: "Ask a manager if you think it should be.",
    404: "Look for it on the page of its processing.",
    413: "A form may hold 1 MB; files of payloads what the setting loop.by_hand_bytes says.",
}
_DATABASE: dict[type[DatabaseError], str] = {
    OperationalError: "The calibration database does not answer.",
    DatabaseError: "The calibration database cannot be read: its file may be damaged.",
}
_NEVER_SHOWN = frozenset({"csrf_token", "password", "request_key", "seen"})


def explain(app: Flask) -> None:
    """Answer every failure of `app` with a page."""
    app.register_error_handler(B2calError, _refused)
    app.register_error_handler(CSRFError, _unknown_form)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(DatabaseError, _no_database)
    app.register_error_handler(Exception, _unexpected)


def status_of(error: B2calError) -> int:
    """The HTTP status that says the same."""
    return next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 409)


def kept_input() -> list[tuple[str, str]]:
    """What was typed into the form of this request: names and texts; nothing of one that was too large to be read."""
    try:
        typed = list(request.form.items(multi=True))
    except RequestEntityTooLarge:
        return []
    return [(name, text) for name, text in typed if name not in _NEVER_SHOWN and text.strip()]


def _refused(error: B2calError) -> Answer:
    return _page(status_of(error), str(error), error.hint)


def _unknown_form(error: CSRFError) -> Answer:
    return _page(400, "The form was not made for this visit, or the visit is over.", _NEXT[400])


def _http(error: HTTPException) -> Answer:
    status = error.code or 500
    if status < 400:
        raise error
    what = error.description or ""
    if type(error).description == what:
        what = {401: "The visit is over, or never began.", 404: f"Nothing stands at {request.path}."}.get(status, "")
    return _page(status, what, _NEXT.get(status, ""))


def _no_database(error: DatabaseError) -> Answer:
    """It does not answer, or its file is damaged; other errors that it reports are faults of ours."""
    if type(error) not in _DATABASE:
        return _unexpected(error)
    _log.error("database", error=str(error.orig))
    return _page(503, _DATABASE[type(error)], "Try again in a minute; running jobs are not touched by this.")


def _unexpected(error: Exception) -> Answer:
    reference = new_token()[:8]
    _log.error("unexpected", reference=reference, path=request.path, exc_info=error)
    return _page(
        500, "This is a fault of b2cal.", f"Tell whoever runs it: reference {reference}. Nothing was changed by it."
    )


def _page(status: int, what: str, hint: str) -> Answer:
    stop_reading()
    g.is_broken = status >= 500  # then the page asks for nothing, not even who looks at it
    title = _TITLES.get(status, "Something went wrong")
    text = render_template("failure.html", title=title, what=what, hint=hint, status=status, kept=kept_input())
    return text, status
