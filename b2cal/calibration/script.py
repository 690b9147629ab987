"""Loading a calibration script from a release's folder.

Only stages of jobs and `describe` do this, each in a process of its own: b2cal itself never imports a release, so two
releases with the same module names live side by side.
"""

import importlib
import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from b2cal.calibration.base import Calibration, Production
from b2cal.calibration.settings import CalibrationSettings
from b2cal.core.errors import B2calError

PACKAGE = "b2cal_release"
"""What the release's folder is called as a package, so that its scripts can write `from . import alignment`."""


class InvalidScript(B2calError):
    """A script has no settings, or not the one class that calculates."""


@dataclass(frozen=True)
class Script:
    """A loaded script.

    Attributes:
        settings: what it says about itself.
        made_by: its class; None in a script that only copies.
        expert_config_schema: JSON Schema of its expert_config, if it gives one.
    """

    settings: CalibrationSettings
    made_by: type[Calibration] | type[Production] | None
    expert_config_schema: Mapping[str, Any] | None

    @property
    def produced_payloads(self) -> tuple[str, ...]:
        """The declared ones, else one that is named like the calibration's class."""
        if self.settings.produced_payloads is not None:
            return self.settings.produced_payloads
        if self.made_by is not None and issubclass(self.made_by, Calibration):
            return (self.made_by.__name__,)
        return ()

    def calibration(self) -> Calibration:
        """A new object of the script's subclass of Calibration.

        Raises:
            InvalidScript: it has none.
        """
        if self.made_by is None or not issubclass(self.made_by, Calibration):
            raise self._lacks("Calibration")
        return self.made_by()

    def production(self) -> Production:
        """A new object of the script's subclass of Production.

        Raises:
            InvalidScript: it has none.
        """
        if self.made_by is None or not issubclass(self.made_by, Production):
            raise self._lacks("Production")
        return self.made_by()

    def _lacks(self, kind: str) -> InvalidScript:
        return InvalidScript(
            f"The script of {self.settings.name!r} has no subclass of {kind}.",
            hint="Write one, or correct the kind of this definition in release.toml.",
        )


def load(release: Path, module: str) -> Script:
    """Import one script of a release. What the script itself raises at import is passed on.

    Raises:
        InvalidScript: it has no settings, two classes that calculate, or one that is not complete.
    """
    # A release is a content-addressed copy: nothing may be added to it, compiled code neither.
    sys.dont_write_bytecode = True
    if PACKAGE not in sys.modules:
        _add_package(release)
    loaded = importlib.import_module(f"{PACKAGE}.{module}")
    settings = getattr(loaded, "settings", None)
    if not isinstance(settings, CalibrationSettings):
        raise InvalidScript(
            f"The script {module} has no settings.", hint="Write settings = CalibrationSettings(...) at its top level."
        )
    return Script(settings, _class_in(loaded, module), getattr(loaded, "expert_config_schema", None))


def _add_package(folder: Path) -> None:
    init, folders = folder / "__init__.py", [str(folder.resolve())]
    if init.exists():
        spec = spec_from_file_location(PACKAGE, init, submodule_search_locations=folders)
    else:
        spec = ModuleSpec(PACKAGE, loader=None, is_package=True)
        spec.submodule_search_locations = folders
    assert spec is not None
    sys.modules[PACKAGE] = package = module_from_spec(spec)
    if spec.loader is not None:
        try:
            spec.loader.exec_module(package)
        except BaseException:
            del sys.modules[PACKAGE]
            raise


def _class_in(loaded: ModuleType, module: str) -> type[Calibration] | type[Production] | None:
    classes = [
        value
        for value in vars(loaded).values()
        if isinstance(value, type)
        and issubclass(value, Calibration | Production)
        and value.__module__ == loaded.__name__
    ]
    complete = [value for value in classes if not inspect.isabstract(value)]
    if len(complete) > 1:
        raise InvalidScript(
            f"The script {module} has several classes that calculate: {', '.join(c.__name__ for c in complete)}.",
            hint="Keep one, and move the others to scripts of their own.",
        )
    if classes and not complete:
        lacking = sorted(classes[-1].__abstractmethods__)
        raise InvalidScript(
            f"The class {classes[-1].__name__} in the script {module} lacks {' and '.join(lacking)}.",
            hint="Write the missing methods; see `Writing a calibration` in the documentation.",
        )
    return complete[0] if complete else None
