"""Who may log in, and as what. Whoever may write the home folder decides it; each act leaves a decision."""

from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from b2cal.model import Decision, Person, Role, now

from .errors import InvalidChoice
from .named import person_named
from .transition import Act, decided


class PersonVerb(StrEnum):
    """What can be done to the right of a person to log in."""

    LET_IN = "let_in"
    SHUT_OUT = "shut_out"


class Right(StrEnum):
    """As what somebody may log in."""

    NONE = "none"
    EXPERT = "expert"
    MANAGER = "manager"


def let_in(
    db: Session,
    username: str,
    password_hash: str | None,
    act: Act,
    full_name: str | None = None,
    role: Role | None = None,
) -> Person:
    """Give somebody a password, and another name or role where they are told; at first an expert.

    None leaves the password as it is.

    Raises:
        InvalidChoice: she has no password, and none is given.
    """
    someone = db.get(Person, username) or Person(username=username, full_name=username, role=Role.EXPERT)
    before = _right(someone)
    if password_hash is not None:
        someone.password_hash = password_hash
    elif not someone.password_hash:
        raise InvalidChoice(
            f"{username} has no password, and none was given.", f"`b2cal person add {username}` asks for one."
        )
    someone.full_name = full_name or someone.full_name
    someone.role = role or someone.role
    db.add(someone)
    _keep_decision(db, someone, PersonVerb.LET_IN, act, before)
    return someone


def shut_out(db: Session, username: str, act: Act) -> None:
    """Take the right to log in away.

    Raises:
        NotFound: nobody is known by that name.
    """
    someone = person_named(db, username)
    before = _right(someone)
    someone.password_hash = ""
    _keep_decision(db, someone, PersonVerb.SHUT_OUT, act, before)


def rights_decided(db: Session, username: str) -> bool:
    """Whether somebody has decided what a person of this name may: she has a password, or was removed.

    Nothing is decided about who is not known, or only from a release.
    """
    someone = db.get(Person, username)
    if someone is not None and someone.password_hash:
        return True
    return db.scalar(select(Decision.id).where(Decision.person == username).limit(1)) is not None


def _right(someone: Person) -> Right:
    return Right(someone.role.value) if someone.password_hash else Right.NONE


def _keep_decision(db: Session, someone: Person, verb: PersonVerb, act: Act, before: Right) -> None:
    db.flush()  # the decision refers to the person
    decision = decided(act, now(db), verb, before, _right(someone))
    decision.person = someone.username
    db.add(decision)
    db.flush()
