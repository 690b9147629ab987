"""Names of people."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from b2cal.model import Person


def full_names(db: Session) -> dict[str, str]:
    """Login name -> full name, of everybody; b2cal itself among them."""
    names = {
        row.username: row.full_name or row.username for row in db.execute(select(Person.username, Person.full_name))
    }
    return {"b2cal": "b2cal", **names}
