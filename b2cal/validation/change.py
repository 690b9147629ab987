"""Reads new and previous payload files and compares them. Runs in a process apart: see `core.apart`."""

from typing import Any

from b2cal.calibration.inputs import UnreadableInput
from b2cal.calibration.payload import InvalidPayload, Payload
from b2cal.core.iov import ExpRun, IoV
from b2cal.validation.comparison import Manner, compare_payloads

_ANY = IoV(ExpRun(0, 0), None)


def handle(item: dict[str, Any]) -> dict[str, Any]:
    """Compare the file `new` with the file `previous` (or null); both come with the identity that they must have.

    Returns:
        `unreadable` or `not_finite` with the reason; else `other_layout`, a text, empty if keys and shapes are as
        before, and `keys`: for each key `shape`, `manner`, `own` and `common` (see `comparison`).
    """
    try:
        new = _read(item["new"], item["identity"])
    except UnreadableInput as error:
        return {"unreadable": str(error)}
    except InvalidPayload as error:
        return {"not_finite": str(error)}
    if item["previous"] is None:
        return {"other_layout": "", "keys": {}}
    try:
        previous = _read(item["previous"], item["previous_identity"])
    except (UnreadableInput, InvalidPayload) as error:
        return {"other_layout": f"The previous constants cannot be compared: {error}", "keys": {}}
    return {"other_layout": _other_layout(new, previous), "keys": _compared(new, previous)}


def _read(path: str, identity: str) -> Payload:
    payload = Payload.read(path, _ANY)
    if payload.identity != identity:
        raise UnreadableInput(path, "it holds other constants than were recorded")
    return payload


def _other_layout(new: Payload, previous: Payload) -> str:
    shapes, before = ({key: array.shape for key, array in p.values.items()} for p in (new, previous))
    differences = [f"{key} is new" for key in sorted(shapes.keys() - before.keys())]
    differences += [f"{key} is gone" for key in sorted(before.keys() - shapes.keys())]
    both = sorted(shapes.keys() & before.keys())
    differences += [
        f"{key} had the shape {before[key]}, now {shapes[key]}" for key in both if shapes[key] != before[key]
    ]
    return "; ".join(differences)


def _compared(new: Payload, previous: Payload) -> dict[str, Any]:
    return {
        key: {
            "shape": new.values[key].shape,
            "manner": comparison.manner,
            "own": comparison.own.tolist() if comparison.manner in (Manner.NUMBERS, Manner.FLAGS) else [],
            "common": comparison.common,
        }
        for key, comparison in compare_payloads(new, previous).items()
    }
