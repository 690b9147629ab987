"""What the first bytes of a ROOT file and its size tell, before anything opens it."""

import os
import struct
from pathlib import Path

HEADER_BYTES = 64
_BIG_FILES_FROM = 1_000_000  # ROOT's version number of a file that needs 64-bit positions is raised by this


def root_file_problem(path: str | Path) -> str:
    """Why a file is no whole ROOT file, as half a sentence; empty if nothing is wrong so far.

    Raises:
        OSError: it is not there, or cannot be read now.
    """
    with open(path, "rb") as file:
        return header_problem(file.read(HEADER_BYTES), os.fstat(file.fileno()).st_size)


def header_problem(header: bytes, size: int) -> str:
    """The same of the first HEADER_BYTES of a file, or what there is of them, and its size."""
    if not header:
        return "it is empty"
    if not header.startswith(b"root"):
        return "it is not a ROOT file"
    if len(header) < HEADER_BYTES:
        return f"it is truncated: only {size} bytes are there"
    # "root", version, position of the first record, position of the end.
    version, begin, end = struct.unpack(">iii", header[4:16])
    if version >= _BIG_FILES_FROM:
        (end,) = struct.unpack(">q", header[12:20])
    if not 0 < begin <= end:
        return "its header is damaged"
    return f"it is truncated: {size:,} of {end:,} bytes are there" if size < end else ""
