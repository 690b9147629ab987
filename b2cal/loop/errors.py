"""What a verb answers when it does not act. Nothing was written then."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from b2cal.core.errors import B2calError, listed

if TYPE_CHECKING:
    from b2cal.releases import ConfigProblem


class NotFound(B2calError):
    """There is no processing, calibration, person or tag of this name."""


class NotAllowed(B2calError):
    """This person may not do this; the hint says who may, and when."""


class Conflict(B2calError):
    """Somebody or something changed it meanwhile; the message says who did what."""


class Repeated(B2calError):
    """This very click was carried out before: the same form was sent twice."""


class InvalidChoice(B2calError):
    """The reason, person, selection or time that was given cannot be used."""


class InvalidConfig(B2calError):
    """The configuration breaks the schema; `problems` has one entry per key."""

    def __init__(self, problems: "Sequence[ConfigProblem]") -> None:
        said = listed(f"{problem.key or 'expert_config'}: {problem.message}" for problem in problems)
        super().__init__(f"The configuration cannot be used: {said}.", hint="Correct these keys and submit again.")
        self.problems = tuple(problems)
