"""Is the site alive, and its database?"""

from flask import Blueprint, Response, jsonify
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from b2cal.site.desk import at, reading

pages = Blueprint("health", __name__)


@pages.get("/health")
def health() -> tuple[Response, int]:
    """For supervisors and load balancers: 200, or 503 with what is missing."""
    try:
        reading().execute(text("SELECT 1 FROM person LIMIT 1"))
    except SQLAlchemyError:
        return jsonify(status="no database", time=at().isoformat()), 503
    return jsonify(status="ok", time=at().isoformat()), 200
