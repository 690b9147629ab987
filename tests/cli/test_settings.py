"""`b2cal settings`: all settings with default, range and meaning."""

import json

import pytest
from click.testing import CliRunner, Result

from b2cal.cli.main import group
from b2cal.loop import NotFound


def run(*words: str) -> Result:
    return CliRunner().invoke(group, ["--json", "settings", *words])


def test_every_setting_is_told_with_default_range_and_meaning() -> None:
    found = {it["setting"]: it for it in json.loads(run().output)}
    assert found["loop.window_s"]["default"] == "`172800` (2 days)"
    assert found["site.port"] == {
        "setting": "site.port",
        "default": "`8400`",
        "may_be": "whole number, at least 1, at most 65535",
        "meaning": "port of the site",
    }
    assert found["centres.NAME.backend"]["default"] == "must be given"
    assert {"home", "batch.rules", "centres.NAME.queue", "centres.NAME.schedd"} <= found.keys()
    assert all(it["meaning"] for name, it in found.items() if not name.endswith(".backend"))


def test_a_section_is_told_alone_and_an_unknown_one_is_refused_with_those_that_there_are() -> None:
    assert {it["setting"].partition(".")[0] for it in json.loads(run("loop").output)} == {"loop"}
    refused = run("lop").exception
    assert isinstance(refused, NotFound)
    assert refused.hint == "There are: site, airflow, batch, loop, data, centres."


@pytest.mark.parametrize("section", [(), ("batch",)])
def test_people_read_tables(section: tuple[str, ...]) -> None:
    words = CliRunner().invoke(group, ["settings", *section]).output
    assert "pause before failed jobs are tried again" in words
    assert "This machine: its batch system and storage" in words
