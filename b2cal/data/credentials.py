"""The files by which one proves at doors who one is: bearer tokens and X.509 proxies.

Only how long they are valid is read. What else lies in them is told to nobody: no message, log or page repeats it.
"""

import base64
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import RLock
from typing import Self

from b2cal.core.errors import B2calError
from b2cal.settings import Settings, StorageSettings

_LARGEST_BYTES = 1 << 20
_ONE_AT_A_TIME = RLock()
_KINDS = {"token": "a bearer token (JWT) that has an end, `exp`", "proxy": "an X.509 proxy with its key"}


class CredentialTrouble(B2calError):
    """A credential cannot be used, or is not valid for long enough."""


@dataclass(frozen=True)
class Credential:
    """The file that a setting of a storage names.

    Attributes:
        setting: `token` or `proxy`.
        centre: whose storage it is.
    """

    setting: str
    centre: str
    file: Path

    def __str__(self) -> str:
        return f"The {self.setting} {self.file} of {self.centre}"

    @property
    def line(self) -> str:
        """Where b2cal.toml names it."""
        section = "batch" if self.centre == "local" else f"centres.{self.centre}"
        return f"`{self.setting}` under [{section}] in b2cal.toml"

    def expires(self) -> datetime:
        """Until when it is valid.

        Raises:
            CredentialTrouble: it cannot be read, others may read it, or it is no such credential.
        """
        content = self._content()
        try:
            return _end_of_token(content) if self.setting == "token" else _end_of_proxy(content)
        except (ValueError, TypeError, KeyError, OverflowError, OSError, RecursionError):
            raise self._trouble(
                f"is not {_KINDS[self.setting]}", f"Put one there, or name its file as {self.line}."
            ) from None

    def valid_until(self, at: datetime) -> datetime:
        """Until when it is valid, if it still is.

        Raises:
            CredentialTrouble: it is not, or cannot be used.
        """
        until = self.expires()
        if until <= at:
            raise self._trouble(f"has expired on {spoken_moment(until)}", f"Renew it, or name another as {self.line}.")
        return until

    def _content(self) -> bytes:
        try:
            with self.file.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                content = file.read(_LARGEST_BYTES)
        except OSError as error:
            raise self._trouble(
                f"cannot be read: {error.strerror}", f"Put it there for this account, or name another as {self.line}."
            ) from None
        if mode & 0o077:
            raise self._trouble("may be read by others", f"chmod 600 {self.file}; it is {self.line}.")
        return content

    def _trouble(self, what: str, hint: str) -> CredentialTrouble:
        return CredentialTrouble(f"{self} {what}.", hint)


@dataclass(frozen=True)
class Credentials:
    """All that a storage has, and what became of renewing them."""

    centre: str
    storage: StorageSettings
    note: Path

    @classmethod
    def of(cls, settings: Settings, centre: str) -> Self:
        return cls(centre, settings.storages[centre], settings.folder(f"centres/{centre}/renewal_failed"))

    def __iter__(self) -> Iterator[Credential]:
        for setting in _KINDS:
            if file := getattr(self.storage, setting):
                yield Credential(setting, self.centre, Path(file))

    def are_to_be_renewed(self, at: datetime) -> bool:
        """Whether it is time to renew them, if there is a command that does it."""
        return bool(self.storage.renew) and any(not _lasts(it, at, self.storage.renew_before_s) for it in self)

    def see_that_they_last(self, at: datetime) -> None:
        """See that jobs which are submitted now have time enough.

        Raises:
            CredentialTrouble: they have not.
        """
        least_s = self.storage.least_left_s
        for it in self:
            until = it.valid_until(at)
            if until - at < timedelta(seconds=least_s):
                raise CredentialTrouble(
                    f"{it} is valid until {spoken_moment(until)} only, less than the {least_s:g} s of `least_left_s`.",
                    "Renew it; what waits is submitted by itself then.",
                )

    def renewal_trouble(self) -> str:
        """Why they could not be renewed the last time, and what to do, in sentences; empty if they could."""
        try:
            return self.note.read_text() if self.storage.renew else ""
        except FileNotFoundError:
            return ""


def _lasts(it: Credential, at: datetime, seconds: float) -> bool:
    try:
        return it.expires() - at >= timedelta(seconds=seconds)
    except CredentialTrouble:
        return False


@contextmanager
def proving(storage: StorageSettings) -> Iterator[None]:
    """Go through the doors of a storage with the credentials that its settings name, as its jobs do.

    The client finds them in the environment, which all threads share: others wait until this one is through.
    """
    with _ONE_AT_A_TIME:
        before = {name: os.environ.get(name) for name in ("BEARER_TOKEN", *storage.credentials)}
        if storage.token:
            os.environ.pop("BEARER_TOKEN", None)  # which would go before the file
        os.environ.update(storage.credentials)
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                os.environ.update({} if value is None else {name: value})


def _end_of_token(content: bytes) -> datetime:
    _, claims, _ = content.decode("ascii").strip().split(".")
    end = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["exp"]
    return datetime.fromtimestamp(end, UTC)


def _end_of_proxy(content: bytes) -> datetime:
    """The first end in the whole chain."""
    from cryptography import x509

    if b"PRIVATE KEY-----" not in content:
        raise ValueError("without a key")
    return min(one.not_valid_after_utc for one in x509.load_pem_x509_certificates(content))


def spoken_moment(moment: datetime) -> str:
    """A point in time, to the minute."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"
