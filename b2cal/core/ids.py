"""Names that nobody else has."""

import uuid


def new_token() -> str:
    """32 hexadecimal characters, different at every call on every machine."""
    return uuid.uuid4().hex
