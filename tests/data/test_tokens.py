"""A door that wants a bearer token: a real server, and b2cal in a process of its own.

What the client uses for TLS it decides once in a process, at its first connection.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.data.catalogues import registry_entry, root_file, write_registry
from tests.services.credentials import Authority, Issuer, private
from tests.services.xrootd import Door, running, wants_tokens

pytestmark = pytest.mark.service

ISSUER = Issuer()
FOLDERS = ("raw", "other")

Run = Callable[[str], Any]

BEGIN = """
import json, os, sys
from pathlib import Path
from b2cal import data
from b2cal.data.behind_doors import FolderBehindDoors
from b2cal.settings import BatchSettings, Settings
from tests.services.credentials import private

door, tokens = sys.argv[1], Path(sys.argv[2])

def storage(token):
    return BatchSettings(doors=(door,), token=token and str(tokens / token))

def settings(token):
    return Settings(home=tokens, batch=storage(token))
"""


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A server that lets in who has a bearer token of the issuer, with two folders of data."""
    folder = tmp_path_factory.mktemp("door")
    with running(folder, wants_tokens(folder, ISSUER, Authority())) as door:
        for name in FOLDERS:
            (door.files / name).mkdir()
            root_file(door.files / name, "bhabha_e0026_r00001.root", 100)
            write_registry(door.files / name, [registry_entry(1)])
        yield door


@pytest.fixture
def run(door: Door, tmp_path: Path) -> Run:
    """What a program gives that begins as above, as JSON; another token than those of settings lies around."""
    private(tmp_path / "right", ISSUER.token())
    foreign = private(tmp_path / "foreign", Issuer().token())
    for name in FOLDERS:
        private(tmp_path / name, ISSUER.token(f"storage.read:/{name}"))

    def program(code: str) -> Any:
        told = subprocess.run(
            [sys.executable, "-c", f"{BEGIN}\n{code}", door.url(), tmp_path],
            env={
                **os.environ,
                "BEARER_TOKEN": foreign.read_text(),
                "PYTHONPATH": str(Path(__file__).parents[2]),
                "X509_CERT_DIR": str(door.folder / "certificates"),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert told.returncode == 0, told.stderr
        return json.loads(told.stdout)

    return program


def test_who_has_a_token_of_the_issuer_in_the_settings_is_let_in_and_nobody_else(run: Run) -> None:
    told = run("""
raw = FolderBehindDoors.find(f"{door}raw", settings("right"))
(opened,) = raw.open(raw.files())
print(json.dumps([opened.n_events, opened.reason, *(data.trouble_at(door, storage(it)) for it in ("foreign", ""))]))
""")
    assert told[:2] == [100, ""]
    assert all(trouble.startswith("Auth failed") for trouble in told[2:])


def test_a_token_that_was_renewed_counts_at_once_where_one_is_connected_already(run: Run) -> None:
    told = run("""
way = f"{door}raw"
before = data.trouble_at(way, storage("other"))
private(tokens / "other", (tokens / "right").read_text())
print(json.dumps([before, data.trouble_at(way, storage("other"))]))
""")
    assert "permission denied" in told[0]
    assert told[1] == ""


def test_two_storages_behind_one_door_prove_each_by_its_own_token(run: Run) -> None:
    told = run("""
each = ("raw", "other")
print(json.dumps([[data.trouble_at(f"{door}{to}", storage(of)) == "" for to in each] for of in each * 2]))
""")
    assert told == [[True, False], [False, True]] * 2
