"""`b2cal release add` says which contents a name means from now on."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from b2cal import loop, releases
from b2cal.cli.main import group
from b2cal.settings import Settings
from tests import factories
from tests.releases.folders import script, write_release

pytestmark = pytest.mark.processes


def test_a_broken_release_is_taken_back_by_adding_the_one_before_again(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    database = factories.database(home)
    good, broken = (
        write_release(tmp_path / version, {"mask": script("Mask", config={"n": n})})
        for n, version in enumerate(("good", "broken"))
    )

    def add(*words: str) -> str:
        ended = CliRunner().invoke(group, words, env={"B2CAL_HOME": str(home), "COLUMNS": "200"})
        assert ended.exit_code == 0, ended.output
        return ended.output

    first, second, again = (add("release", "add", str(folder)) for folder in (good, broken, good))
    said = [re.search(r"Release toy \((\w{12})\) with 1 definitions", text) for text in (first, second, again)]
    digests = [found.group(1) for found in said if found]
    assert digests[0] == digests[2] != digests[1]
    assert "known" in again
    assert "known" not in first + second
    with database.read() as db:
        release = loop.release_named(db, "toy")
        assert release.digest.startswith(digests[0])
        assert (Settings(home=home).releases / release.digest / "mask.py").read_bytes() == (
            good / "mask.py"
        ).read_bytes()
    assert json.loads(add("--json", "release", "add", str(broken)))["known"] is True
    database.dispose()


def test_what_is_said_of_a_release_is_about_the_copy_that_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that is edited meanwhile is read once: `inspect`, which makes a copy of its own, has no part in it."""
    home = tmp_path / "home"
    home.mkdir()
    database = factories.database(home)
    folder = write_release(tmp_path / "release", {"energy": script("Energy", formats=["cdst"])})
    monkeypatch.delattr(releases, "inspect")
    ended = CliRunner().invoke(group, ["--json", "release", "add", str(folder)], env={"B2CAL_HOME": str(home)})
    assert ended.exit_code == 0, ended.output
    told = json.loads(ended.output)
    with database.read() as db:
        release = loop.release_named(db, "toy")
        assert (told["id"], told["name"], told["digest"]) == (release.id, release.name, release.digest)
    assert told["flags"] == [
        "energy ('Energy') reads bhabha after the cDST production, but no definition produces that."
    ]
    database.dispose()
