"""What a script can and cannot do while its release is looked through."""

import json
import os
import sys
from pathlib import Path

import pytest
from sqlalchemy import func, select

from b2cal import releases
from b2cal.core.processes import ProcessIdentity
from b2cal.model import Definition, Release
from tests.releases.folders import VOCABULARY, script, write_release
from tests.waiting import wait_for

pytestmark = [pytest.mark.processes, pytest.mark.usefixtures("temporary")]

OFFSETS = script("Time offsets", depends_on=["mask"])


def test_a_script_sees_no_secret_and_no_open_file_of_b2cal(database, tmp_path, monkeypatch):
    monkeypatch.setenv("B2CAL_PASSWORD", "canary")
    look = """
import os
seen = [os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{n}")]
settings = CalibrationSettings(name="Look", expert_username="x", description="", input_data_formats=["raw"],
    input_data_names=["bhabha"], expert_config={"environment": dict(os.environ), "files": seen})
"""
    text = script("Look", more=look)
    with database.read() as db, (tmp_path / "private").open("w") as private:
        db.scalar(select(func.count()).select_from(Release))
        os.set_inheritable(private.fileno(), True)
        [definition] = releases.inspect(write_release(tmp_path / "release", {"look": text})).definitions
    config = definition.settings["expert_config"]
    assert "canary" not in str(config)
    assert "PATH" in config["environment"]
    assert not [path for path in config["files"] if "b2cal.db" in path or "private" in path]


def test_what_a_script_starts_ends_with_the_inspection(tmp_path):
    start = """
import subprocess
config = {"pid": subprocess.Popen(["sleep", "1000"]).pid}
settings = CalibrationSettings(name="Start", expert_username="x", description="", input_data_formats=["raw"],
    input_data_names=["bhabha"], expert_config=config)
"""
    [definition] = releases.inspect(
        write_release(tmp_path / "release", {"start": script("Start", more=start)})
    ).definitions
    pid = definition.settings["expert_config"]["pid"]
    wait_for(lambda: ProcessIdentity.of(pid) is None)


def test_two_releases_with_the_same_module_names_live_side_by_side(database, settings, tmp_path):
    ids = []
    for number in (1, 2):
        mask = script("Channel mask", config={"number": number})
        folder = write_release(tmp_path / str(number), {"mask": mask, "offsets": OFFSETS})
        ids.append(releases.add(database, settings, folder).release_id)
    with database.read() as db:
        masks = [db.scalars(select(Definition).filter_by(release_id=one, name="Channel mask")).one() for one in ids]
        assert [mask.settings["expert_config"] for mask in masks] == [{"number": 1}, {"number": 2}]
    assert not [name for name in sys.modules if name.split(".")[-1] == "mask"]


def test_belle2s_prompt_calibrations_pass_whole(tmp_path):
    facts = json.loads(Path(__file__).with_name("belle2_prompt.json").read_text())
    modules = {one["name"]: one["module"] for one in facts["calibrations"]}
    scripts = {
        one["module"]: script(
            one["name"],
            depends_on=[modules[name] for name in one["depends_on"]],
            formats=one["input_data_formats"],
            filters=one["input_data_filters"],
            config=one["expert_config"],
            payloads=one["produced_payloads"] or [f"{one['module']}_payload"],
        )
        for one in facts["calibrations"]
    }
    entries = "".join(
        f'[[definition]]\nscript = "{one["module"]}"\nstep = "{one["step"]}"\n' for one in facts["calibrations"]
    )
    folder = write_release(tmp_path / "release", scripts, entries)
    toml = (folder / "release.toml").read_text()
    vocabulary = "".join(f"{json.dumps(name)} = {json.dumps(values)}\n" for name, values in facts["vocabulary"].items())
    (folder / "release.toml").write_text(toml.replace(VOCABULARY, f"[vocabulary]\n{vocabulary}"))
    inspection = releases.inspect(folder)
    assert inspection.problems == []
    assert len(inspection.definitions) == 26
    assert {flag.split(" reads ")[1].split(" after")[0] != "" for flag in inspection.flags} == {True}
    assert len(inspection.flags) == 14  # no cDST production among them
