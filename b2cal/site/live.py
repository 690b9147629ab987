"""Pages with a part that renews itself: htmx asks for that part each few seconds and gets it only if it has changed.

Without JavaScript the page is whole all the same, and says of when it is.
"""

from collections.abc import Mapping
from typing import Any

from flask import render_template, request
from flask_wtf.csrf import generate_csrf
from markupsafe import Markup

from b2cal.core.checksums import sha256_bytes

from .security import nonce


def live(page: str, part: str, **context: Any) -> str | tuple[str, int]:
    """The template `page` with `part` as its `live` inside; or `part` alone, or nothing new, for htmx."""
    body = render_template(part, **context)
    meaning = body.replace(nonce(), "").replace(generate_csrf(), "")  # these two are new each time
    seen = sha256_bytes(meaning.encode())[:16]
    if "HX-Request" in request.headers and request.args.get("seen") == seen:
        return "", 204
    wrapped = Markup(render_template("parts/live.html", body=Markup(body), seen=seen))  # noqa: S704 (from our templates)
    return _framed(page, wrapped, context)


def still(page: str, part: str, **context: Any) -> str:
    """The same with a part that renews itself no more; a page that was opened before gets it for the last time."""
    body = Markup(render_template(part, **context))  # noqa: S704 (from our templates)
    return _framed(page, Markup(render_template("parts/still.html", body=body)), context)  # noqa: S704


def _framed(page: str, wrapped: Markup, context: Mapping[str, Any]) -> str:
    return str(wrapped) if "HX-Request" in request.headers else render_template(page, live=wrapped, **context)
