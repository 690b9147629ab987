"""Who acts, and in which capacity."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from b2cal.model import Calibration, Role

from .errors import NotAllowed
from .named import acting


@dataclass(frozen=True)
class Actor:
    """Somebody acting in a role: a person towards one calibration, or the loop itself."""

    username: str
    role: Role


THE_LOOP = Actor("b2cal", Role.LOOP)


def actor(db: Session, username: str, calibration: Calibration) -> Actor:
    """In which role this person stands to this calibration.

    Raises:
        NotFound: nobody is known by that name.
        NotAllowed: neither its expert, nor its deputy, nor a manager; or without a password.
    """
    someone = acting(db, username)
    if someone.role is Role.MANAGER:
        return Actor(username, Role.MANAGER)
    if username == calibration.expert:
        return Actor(username, Role.EXPERT)
    if username == calibration.deputy:
        return Actor(username, Role.DEPUTY)
    raise NotAllowed(
        f"{someone.full_name} is not responsible for {calibration.name}.",
        hint=f"Its expert is {calibration.expert}; a manager can reassign it.",
    )


def manager(db: Session, username: str) -> Actor:
    """The same towards what only managers decide: processings, global tags, standing vetoes.

    Raises:
        NotFound: nobody is known by that name.
        NotAllowed: not a manager, or without a password.
    """
    someone = acting(db, username)
    if someone.role is not Role.MANAGER:
        raise NotAllowed(f"{someone.full_name} is not a manager.", hint="Ask a manager.")
    return Actor(username, Role.MANAGER)
