"""How what was found of a thing is shown."""

from b2cal.loop import Health

SIGNS = {Health.WELL: ("✓", "green"), Health.WARNING: ("!", "yellow"), Health.ILL: ("✗", "red")}
"""Its sign, and in which colour."""
