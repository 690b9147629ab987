"""Payload files, by the identity of their contents."""

import re

from flask import Blueprint, Response, send_file
from sqlalchemy import select

from b2cal import loop
from b2cal.model import Payload
from b2cal.site.desk import desk, reading

pages = Blueprint("payloads", __name__)

_IDENTITY = re.compile(r"[0-9a-f]{64}")


@pages.get("/payloads/<identity>")
def download(identity: str) -> Response:
    payload = None
    if _IDENTITY.fullmatch(identity):
        payload = reading().scalar(select(Payload).where(Payload.identity == identity).limit(1))
    if payload is None:
        raise loop.NotFound("There is no payload of this identity.", hint="Follow a link from a tag or a calibration.")
    path = desk().workplace.store.path(identity)
    if not path.is_file():
        raise loop.NotFound(
            f"The file of {payload.name} is not in the payload store.", hint="Restore the store from its backup."
        )
    return send_file(
        path,
        mimetype="application/octet-stream",
        as_attachment=True,
        download_name=f"{payload.name}_{identity[:8]}.root",
    )
