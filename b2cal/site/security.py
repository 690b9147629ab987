"""What protects every request: where it came from, that its form is ours, who may open it, what a page may load."""

import secrets
from urllib.parse import urlsplit

from flask import Flask, Response, abort, g, redirect, request, url_for
from flask.sessions import SecureCookieSessionInterface
from flask_login import current_user
from flask_wtf import CSRFProtect
from werkzeug.wrappers import Response as AnyResponse

from .policy import Access, access
from .uploads import limit_requests

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Cookies(SecureCookieSessionInterface):
    """The cookie of the session: over HTTPS it is bound to host and path, and never sent in clear."""

    def get_cookie_name(self, app: Flask) -> str:
        return "__Host-b2cal" if request.is_secure else "b2cal"

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure


def protect(app: Flask) -> None:
    """Put all guards before the routes of `app`, in their order, and the headers on every answer."""
    app.session_interface = Cookies()
    app.config.update(
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        WTF_CSRF_TIME_LIMIT=None,  # as long as the visit: whoever thinks for an hour about a form may still send it
    )
    app.before_request(same_origin)
    limit_requests(app)  # before the forms are read to find their tokens
    CSRFProtect(app)
    app.before_request(allowed)
    app.after_request(headers)
    app.context_processor(lambda: {"nonce": nonce})


def same_origin() -> None:
    """Refuse what another site makes a browser send."""
    origin = request.headers.get("Origin")
    if request.method not in SAFE and origin is not None and urlsplit(origin).netloc != request.host:
        abort(403, description="The request came from a page of another site.")


def allowed() -> AnyResponse | None:
    """Refuse whom the policy does not let in; people who are not signed in may do that first."""
    if request.endpoint is None:
        return None  # no such page: 404
    wanted = access(request.endpoint)
    if wanted is Access.ANYONE:
        return None
    if wanted is None:
        abort(403, description="This page is open to nobody.")
    if not current_user.is_authenticated:
        if request.method in SAFE and "HX-Request" not in request.headers:
            return redirect(url_for("login.form", next=request.full_path.rstrip("?")))
        abort(401)
    if wanted is Access.MANAGER and not current_user.is_manager:
        abort(403, description="This is for managers.")
    return None


def nonce() -> str:
    """The word of this answer that marks our own scripts and htmx attributes, unguessable for text that slipped in."""
    if "nonce" not in g:
        g.nonce = secrets.token_urlsafe(16)
    word: str = g.nonce
    return word


def headers(response: Response) -> Response:
    """Say what browsers may do with an answer; a document may bring its own policy."""
    if "Content-Security-Policy" not in response.headers:
        response.headers["Content-Security-Policy"] = (
            f"default-src 'self'; script-src 'self' 'nonce-{nonce()}'; style-src 'self'; img-src 'self' data:; "
            "object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'; "
            "require-trusted-types-for 'script'; trusted-types htmx"
        )
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=(), payment=()"
    if request.is_secure:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    if request.endpoint == "static":
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    elif "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "no-store"
    return response


def own_page(address: str) -> str:
    """A page of this site to go on with: never an address that leads elsewhere."""
    parts = urlsplit(address)
    inside = address.startswith("/") and not address.startswith(("//", "/\\")) and not parts.netloc
    inside = inside and address.isprintable()  # browsers leave out tabs and line ends: then "/\t/" is "//"
    return address if inside else url_for("inbox.page")
