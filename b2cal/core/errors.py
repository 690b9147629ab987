"""The one base of all errors that a user of b2cal sees, and the one place that ends their sentences."""

import re
from collections.abc import Iterable

_SECOND_STOP = re.compile(r"(?<=[^.][.?!])\.$")


class B2calError(Exception):
    """Something that a person can put right.

    `str(error)` says in one sentence what happened and why; `hint` says what to do next.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(_SECOND_STOP.sub("", message))
        self.hint = hint


def sentence(text: str) -> str:
    """The text with one mark at its end: what was put into it may have brought its own, or none."""
    once = _SECOND_STOP.sub("", text)
    return once if once.endswith((".", "?", "!")) else f"{once}."


def listed(problems: Iterable[str]) -> str:
    """Sentences as parts of one, without the full stop of the last."""
    return "; ".join(problem.removesuffix(".") for problem in problems)
