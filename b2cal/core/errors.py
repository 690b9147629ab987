"""The one base of all errors that a user of b2cal sees."""


class B2calError(Exception):
    """Something that a person can put right.

    `str(error)` says in one sentence what happened and why; `hint` says what to do next.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
