"""A local database of Belle II: `database.txt` with its payload files beside it, in a folder or an archive."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from b2cal.core.apart import Allowance, work_apart
from b2cal.core.errors import B2calError
from b2cal.core.files import scratch_folder
from b2cal.core.iov import InvalidIoV, IoV

from .unpacking import DATABASE, MOST_TEXT

_NUMBER = r"(-?\d{1,10})"
_LINE = re.compile(rf"dbstore/([A-Za-z]\w*)\s+(\w+)\s+{_NUMBER},\s*{_NUMBER},\s*{_NUMBER},\s*{_NUMBER}", re.ASCII)
_UNPACKING = Path(__file__).with_name("unpacking.py")


class InvalidLocalDatabase(B2calError):
    """It has no `database.txt`, or one with lines that cannot be understood, or its archive cannot be unpacked."""


@dataclass(frozen=True)
class Line:
    """One line of `database.txt`: in the file of this name is a payload that is valid for these runs."""

    name: str
    iov: IoV
    file_name: str


def read_local_database(folder: Path) -> list[Line]:
    """What `database.txt` of a folder says. The payload files are not looked at.

    Raises:
        InvalidLocalDatabase: it is missing, empty, too large, or has a line that cannot be understood.
    """
    try:
        with open(folder / DATABASE, "rb") as file:
            content = file.read(MOST_TEXT + 1)
        text = content.decode()
    except (OSError, ValueError) as error:
        raise InvalidLocalDatabase(
            f"There is no {DATABASE} that can be read: {getattr(error, 'strerror', None) or 'it is no text'}.",
            hint=f"A local database is a {DATABASE} with its dbstore_*.root files beside it.",
        ) from error
    if len(content) > MOST_TEXT:
        raise InvalidLocalDatabase(
            f"{DATABASE} has more than {MOST_TEXT:,} bytes.",
            hint="Leave out its comments and what is not to be taken, or divide it.",
        )
    return parse_database(text)


def parse_database(text: str) -> list[Line]:
    """The lines of a `database.txt`. Of several with equal name and IoV the last counts.

    Raises:
        InvalidLocalDatabase: there are none, or one cannot be understood.
    """
    lines: dict[tuple[str, IoV], Line] = {}
    for number, raw in enumerate(text.splitlines(), start=1):
        content = raw.partition("#")[0].strip()
        if content:
            line = _parsed(number, content)
            lines[line.name, line.iov] = line
    if not lines:
        raise InvalidLocalDatabase(f"{DATABASE} names no payload.", hint="Write the payloads again.")
    return list(lines.values())


def _parsed(number: int, content: str) -> Line:
    found = _LINE.fullmatch(content)
    if found is None:
        raise _unclear(number, "it should read dbstore/<Name> <revision> <exp>,<run>,<exp>,<run>")
    name, revision, *numbers = found.groups()
    try:
        return Line(name, IoV.from_belle2(*map(int, numbers)), f"dbstore_{name}_rev_{revision}.root")
    except InvalidIoV as error:
        raise _unclear(number, f"{error} {error.hint}") from error


def _unclear(number: int, why: str) -> InvalidLocalDatabase:
    return InvalidLocalDatabase(
        f"Line {number} of {DATABASE} cannot be understood: {why.rstrip('.')}.",
        hint="Correct it, or write the payloads again.",
    )


@contextmanager
def unpacked(archive: Path, scratch: Path, most_bytes: int) -> Iterator[Path]:
    """Unpack a .tar or .zip in a process apart, below `scratch`; at the end the folder is removed.

    Only `database.txt` and the `dbstore_*.root` beside it are taken out, by their last names.

    Raises:
        InvalidLocalDatabase: it is no archive, holds no local database, or unpacks to more than `most_bytes`.
    """
    with scratch_folder(scratch) as folder:
        item = {"archive": str(archive), "folder": str(folder), "most_bytes": most_bytes}
        (answer,) = work_apart(_UNPACKING, [item], Allowance(file_bytes=most_bytes))
        problem = answer.failure or answer.value
        if problem:
            raise InvalidLocalDatabase(
                f"The archive cannot be taken: {problem}.",
                hint=f"Pack {DATABASE} and the payload files that it names into a .tar or .zip.",
            )
        yield folder
