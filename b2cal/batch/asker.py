"""Asks a batch system whether it takes jobs. Runs in a process apart: see `core.apart`."""

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from b2cal.batch.centres import elsewhere
from b2cal.batch.contract import BatchError
from b2cal.settings import Centre

_CENTRE: TypeAdapter[Centre] = TypeAdapter(Centre)


def handle(item: dict[str, Any]) -> tuple[str, str] | None:
    """What it has against that, and what helps; None if it takes them."""
    try:
        elsewhere(_CENTRE.validate_python(item["centre"]), Path(item["folder"])).ready()
    except BatchError as error:
        return str(error), error.hint
    return None
