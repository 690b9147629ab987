"""Folders of releases, as an expert would write them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

VOCABULARY = """
[vocabulary]
"Magnet" = ["On", "Off", "Either"]
"Run Type" = ["beam", "physics"]
"Data Quality Tag" = ["Good", "Good Or Recoverable"]
"""

SETTINGS = """
from b2cal.calibration import Calibration, CalibrationSettings, Payload, Production
{imports}

settings = CalibrationSettings(
    name={name!r},
    expert_username="tracking",
    description="",
    input_data_formats={formats!r},
    input_data_names={names!r},
    input_data_filters={filters!r},
    depends_on=[{depends_on}],
    expert_config={config!r},
    produced_payloads={payloads!r},
)
"""

CLASSES = {
    "calibrate": """
class {name}(Calibration):
    branches = ("energy",)
    def collect(self, events, conditions, config): return 0
    def fit(self, collected, conditions, config, iov): return Payload("x", iov, {{"x": [1.0]}})
""",
    "produce": """
class {name}(Production):
    branches = ("energy",)
    def produce(self, events, conditions, config): return {{}}
""",
    "copy": "",
}


def script(
    name: str,
    *,
    kind: str = "calibrate",
    depends_on: Sequence[str] = (),
    formats: Sequence[str] = ("raw",),
    filters: Mapping[str, Sequence[str]] | None = None,
    config: Mapping[str, object] | None = None,
    payloads: Sequence[str] | None = None,
    more: str = "",
) -> str:
    """The text of a script; `depends_on` are modules."""
    imports = "".join(f"from . import {module}\n" for module in depends_on)
    filters = {"bhabha": ["Good", "On"]} if filters is None else dict(filters)
    text = SETTINGS.format(
        imports=imports,
        name=name,
        formats=list(formats),
        names=list(filters) or ["bhabha"],
        filters=filters,
        depends_on=", ".join(f"{module}.settings" for module in depends_on),
        config=dict(config or {}),
        payloads=payloads,
    )
    return text + CLASSES[kind].format(name="".join(filter(str.isalnum, name.title()))) + more


def write_release(folder: Path, scripts: Mapping[str, str], entries: str = "", head: str = 'name = "toy"') -> Path:
    """A release folder; scripts without an entry in `entries` are calibrations of the step pre-tracking."""
    folder.mkdir(parents=True, exist_ok=True)
    for module, text in scripts.items():
        (folder / f"{module}.py").write_text(text)
    named = "".join(
        f'[[definition]]\nscript = "{module}"\nstep = "pre-tracking"\n'
        for module in scripts
        if f'"{module}"' not in entries
    )
    (folder / "release.toml").write_text(f"{head}\n{VOCABULARY}\n{named}\n{entries}")
    return folder
