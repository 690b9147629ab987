"""How the reader wants the pages: zone and colours. Kept in cookies of her browser, nowhere else."""

from flask import Blueprint, redirect, request
from werkzeug.wrappers import Response

from b2cal.site.security import own_page
from b2cal.site.times import zone_named

pages = Blueprint("preferences", __name__)

_YEAR_S = 365 * 86400


@pages.post("/preferences")
def change() -> Response:
    answer = redirect(own_page(request.form.get("next", "")))
    if "zone" in request.form:
        _keep(answer, "zone", zone_named(request.form["zone"]).key)
    if request.form.get("theme") in ("light", "dark", "system"):
        _keep(answer, "theme", request.form["theme"])
    return answer


def _keep(answer: Response, name: str, value: str) -> None:
    answer.set_cookie(name, value, max_age=_YEAR_S, secure=request.is_secure, samesite="Lax", path="/")
