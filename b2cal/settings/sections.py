"""What all parts of the settings have in common."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Port = Annotated[int, Field(ge=1, le=65535)]

LONGEST_S = 100 * 366 * 86400.0
"""A century: what has no end in practice, and still ends before the calendar of Python does."""

LONGEST_DAYS = int(LONGEST_S // 86400)

Seconds = Annotated[float, Field(gt=0, le=LONGEST_S)]


class Section(BaseModel):
    """A part of the tree; a key that nobody knows is refused, so that a slip of the pen is seen."""

    model_config = ConfigDict(extra="forbid", frozen=True)
