"""Who may open which page. A route that does not stand here is closed to everybody, and fails a test.

What somebody may do to a calibration depends on who she is to it and on its state: `loop` decides that.
"""

from enum import StrEnum


class Access(StrEnum):
    """How far a route is open."""

    ANYONE = "anyone"
    SIGNED_IN = "signed in"
    MANAGER = "manager"


POLICY = {
    "static": Access.ANYONE,
    "health.health": Access.ANYONE,
    "login.form": Access.ANYONE,
    "login.sign_in": Access.ANYONE,
    "login.sign_out": Access.SIGNED_IN,
    "preferences.change": Access.ANYONE,
    "guide.page": Access.SIGNED_IN,
    "inbox.page": Access.SIGNED_IN,
    "processings.board": Access.SIGNED_IN,
    "processing.page": Access.SIGNED_IN,
    "processing.preview": Access.SIGNED_IN,
    "processing.arrived": Access.SIGNED_IN,
    "processing_acting.form": Access.MANAGER,
    "processing_acting.act": Access.MANAGER,
    "calibration.page": Access.SIGNED_IN,
    "acting.form": Access.SIGNED_IN,
    "acting.act": Access.SIGNED_IN,
    "submission.form": Access.SIGNED_IN,
    "submission.submit": Access.SIGNED_IN,
    "calibration.inputs": Access.SIGNED_IN,
    "calibration.report": Access.SIGNED_IN,
    "calibration.plot": Access.SIGNED_IN,
    "calibration.numbers": Access.SIGNED_IN,
    "jobs.of_calibration": Access.SIGNED_IN,
    "jobs.of_processing": Access.SIGNED_IN,
    "jobs.job": Access.SIGNED_IN,
    "jobs.log": Access.SIGNED_IN,
    "jobs.look": Access.SIGNED_IN,
    "incidents.page": Access.SIGNED_IN,
    "payloads.download": Access.SIGNED_IN,
    "vetoes.board": Access.SIGNED_IN,
    "vetoes.act": Access.MANAGER,
    "tags.board": Access.SIGNED_IN,
    "tags.page": Access.SIGNED_IN,
    "data.runs": Access.SIGNED_IN,
    "data.run": Access.SIGNED_IN,
    "decisions.page": Access.SIGNED_IN,
    "result.page": Access.SIGNED_IN,
}


def access(endpoint: str | None) -> Access | None:
    """How far the route is open; None: not at all."""
    return POLICY.get(endpoint or "")
