"""What the jobs of a group share, under names that hold on every machine.

job.json names code, release, constants and collected sums below `shared`, a folder beside it. On a machine that sees
the attempts folder that is a link; elsewhere the batch system brings the folder along. Input files keep their names:
they come from storage.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from b2cal.calibration.job import SHARED

Spec = Mapping[str, Any]


def shared(spec: Spec, code: Path) -> tuple[dict[str, Any], dict[str, Path]]:
    """A group's part of job.json with the names that its jobs see, and which file or folder has which name."""
    places = {"code": code, "release": Path(spec["release"])}
    constants = {
        key: [_constants(entry, places) for entry in spec[key]] for key in ("conditions", "payloads") if key in spec
    }
    sums = {"collected": _numbered(spec["collected"], places)} if "collected" in spec else {}
    renamed = {**spec, "release": f"{SHARED}/release", **constants, **sums}
    return renamed, places


def lay_out(folder: Path, places: Mapping[str, Path]) -> None:
    """Make the shared folder: links, because its contents never change and are large.

    Raises:
        OSError: the folder cannot be made.
    """
    for name, path in places.items():
        link = folder / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)


def _constants(entry: Spec, places: dict[str, Path]) -> dict[str, Any]:
    path = Path(entry["path"])
    name = f"constants/{path.name}"
    places[name] = path
    return {**entry, "path": f"{SHARED}/{name}"}


def _numbered(paths: Sequence[str], places: dict[str, Path]) -> list[str]:
    names = [f"collected/{number}{Path(path).suffix}" for number, path in enumerate(paths)]
    places.update({name: Path(path) for name, path in zip(names, paths, strict=True)})
    return [f"{SHARED}/{name}" for name in names]
