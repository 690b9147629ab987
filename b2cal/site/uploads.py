"""Files that people bring: kept apart under names of our own, known by how they begin, gone when the request ends.

Messages call them by the names that they were sent with.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from flask import Flask, request
from flask_login import current_user
from werkzeug.datastructures import FileStorage

from b2cal import loop
from b2cal.core.files import scratch_folder
from b2cal.loop import FromTag, LocalDatabase, PayloadFiles, Source, Verb

from .desk import desk

_ROOT = b"root"
_PACKED = (b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00")  # zip, and what a tar is compressed with
_TAR, _TAR_AT = b"ustar", 257
_FORM_BYTES = 1_000_000
_MOST_FILES = 50
_LONGEST_NAME = 80


def limit_requests(app: Flask) -> None:
    """A request may hold 1 MB; payloads made by hand may be larger, if somebody who is signed in brings them."""
    app.config.update(MAX_CONTENT_LENGTH=_FORM_BYTES, MAX_FORM_MEMORY_SIZE=_FORM_BYTES, MAX_FORM_PARTS=1000)
    app.before_request(_let_payloads_in)


def _let_payloads_in() -> None:
    brings_payloads = request.endpoint == "acting.act" and (request.view_args or {}).get("verb") == Verb.REPLACE
    if brings_payloads and current_user.is_authenticated:
        request.max_content_length = desk().settings.loop.by_hand_bytes + _FORM_BYTES


@contextmanager
def brought(files: Sequence[FileStorage], tag: str) -> Iterator[Source]:
    """What a form brings: files, which lie in quarantine until the context ends, or the name of a tag.

    Raises:
        InvalidChoice: it brings nothing, both, or files that are neither payloads nor one archive.
        Conflict: files of somebody else are being checked.
    """
    given = [file for file in files if file.filename]
    if bool(given) == bool(tag):
        raise loop.InvalidChoice(
            "The form gives no payloads." if not given else "The form gives both files and a tag.",
            hint="Choose payload files, or an archive with a database.txt, or the name of a tag.",
        )
    if tag:
        yield FromTag(tag)
        return
    with _alone(), scratch_folder(desk().settings.quarantine) as folder:
        yield _kept(given, folder)


@contextmanager
def _alone() -> Iterator[None]:
    if not desk().checks_files.acquire(blocking=False):
        raise loop.Conflict(
            "The payloads of somebody else are being checked.",
            hint="Nothing was written. Send yours again in a minute.",
        )
    try:
        yield
    finally:
        desk().checks_files.release()


def _kept(files: Sequence[FileStorage], folder: Path) -> Source:
    starts = [_start(file) for file in files]
    if all(start.startswith(_ROOT) for start in starts) and len(files) <= _MOST_FILES:
        paths = [folder / f"file-{number}.root" for number in range(1, len(files) + 1)]
        for file, path in zip(files, paths, strict=True):
            file.save(path)
        return PayloadFiles(paths, {path: _spoken(file) for file, path in zip(files, paths, strict=True)})
    if len(files) == 1 and (starts[0].startswith(_PACKED) or starts[0][_TAR_AT:].startswith(_TAR)):
        files[0].save(folder / "archive")
        return LocalDatabase(folder / "archive")
    raise loop.InvalidChoice(
        "The files are neither payloads nor one archive.",
        hint=f"Choose up to {_MOST_FILES} payloads written by Payload.write, or one .tar or .zip of a local database.",
    )


def _spoken(file: FileStorage) -> str:
    """The name under which a file was sent, as text for messages: it never becomes a path."""
    name = (file.filename or "").rpartition("/")[2]
    return "".join(sign for sign in name if sign.isprintable())[-_LONGEST_NAME:]


def _start(file: FileStorage) -> bytes:
    start = file.stream.read(_TAR_AT + len(_TAR))
    file.stream.seek(0)
    return start
