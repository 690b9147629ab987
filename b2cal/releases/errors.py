"""Why a release is not taken in."""

from collections.abc import Sequence

from b2cal.core.errors import B2calError


class ReleaseRefused(B2calError):
    """The release has problems that would stop a processing later. Nothing was written.

    Attributes:
        problems: one sentence for each, with the scripts it is about.
    """

    def __init__(self, what: str, problems: Sequence[str], hint: str) -> None:
        listed = problems[0] if len(problems) == 1 else "".join(f"\n  - {problem}" for problem in problems)
        super().__init__(f"{what} is refused: {listed}", hint)
        self.problems = list(problems)
