"""What a release's scripts say about themselves: `python -m b2cal.calibration.describe FOLDER`.

Run it in the release's own interpreter and in a process of its own, because importing a script runs it. Prints one JSON
document, {"scripts": [{"script": ..., "error": null or text, ...}, ...]}, in the order of release.toml. A script that
cannot be imported says why and does not keep the others from being described.
"""

import ast
import json
import os
import sys
import tomllib
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from b2cal.calibration.base import Production
from b2cal.calibration.events import Branches
from b2cal.calibration.script import InvalidScript, Script, load
from b2cal.calibration.strategy import Strategy
from b2cal.core.errors import B2calError


def describe(folder: Path) -> dict[str, Any]:
    """Describe every script that release.toml names."""
    definitions = tomllib.loads((folder / "release.toml").read_text()).get("definition", [])
    return {"scripts": [_described(folder, str(definition["script"])) for definition in definitions]}


def _described(folder: Path, module: str) -> dict[str, Any]:
    about = {"script": module, "imports": _imports(folder, module), "error": None, "hint": "", "traceback": ""}
    try:
        facts = _facts(load(folder, module))
        json.dumps(facts, allow_nan=False)  # what cannot be written is this script's error, not that of all
        return about | facts
    except (Exception, SystemExit) as error:  # noqa: BLE001 (a script is its author's code and may raise anything)
        return about | {
            "error": f"{type(error).__name__}: {error}{_place(error, folder)}",
            "hint": error.hint if isinstance(error, B2calError) else "",
            "traceback": traceback.format_exc(),
        }


def _facts(script: Script) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "settings": script.settings.to_json(),
        "class": script.made_by.__name__ if script.made_by else None,
        "produced_payloads": list(script.produced_payloads),
        "expert_config_schema": script.expert_config_schema,
    }
    if script.made_by is None:
        return facts | {"kind": "copy"}
    branches = _by_data_name(script.made_by.branches, script.settings.input_data_names)
    facts |= {"tree": script.made_by.tree, "branches": branches, "carried_over": list(script.made_by.carried_over)}
    if issubclass(script.made_by, Production):
        return facts | {"kind": "produce"}
    return facts | {
        "kind": "calibrate",
        "strategy": Strategy(script.made_by.strategy),
        "max_iterations": int(script.made_by.max_iterations),
        "limits": {name: limit.to_json() for name, limit in script.made_by.limits.items()},
    }


def _by_data_name(branches: Branches, data_names: Iterable[str]) -> dict[str, list[str]]:
    if not isinstance(branches, Mapping):
        return {name: list(branches) for name in sorted(data_names)}
    if branches.keys() != set(data_names):
        raise InvalidScript(
            f"The branches are given for {', '.join(sorted(branches))}, but the script reads"
            f" {', '.join(sorted(data_names))}.",
            hint="Give the branches of each of input_data_names, or one list for all.",
        )
    return {name: list(branches[name]) for name in sorted(data_names)}


def _imports(folder: Path, module: str) -> list[str]:
    """Which scripts of the release a script imports, without running it: that shows the circle if they go round."""
    try:
        tree = ast.parse((folder / f"{module}.py").read_text())
    except (OSError, SyntaxError, ValueError):
        return []
    relative = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 1]
    names = {node.module or alias.name for node in relative for alias in node.names}
    return sorted(name for name in names if (folder / f"{name}.py").exists())


def _place(error: BaseException, folder: Path) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(folder.resolve())]
    return f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""


def main() -> int:
    """Print the description of the folder named on the command line."""
    # What scripts print when they are imported goes to stderr: stdout belongs to the document.
    document = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with document:
        json.dump(describe(Path(sys.argv[1])), document, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
