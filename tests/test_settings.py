"""Settings that cannot be used are told in a sentence that names the key, whichever command meets them."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from b2cal.cli.main import group
from b2cal.settings import NO_SETTINGS, Settings, SettingsRefused, read_settings


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused() -> str:
    with pytest.raises(SettingsRefused) as error:
        read_settings()
    assert error.value.hint
    return str(error.value)


@pytest.mark.parametrize("broken", [b"sdf df", b"\xff\xfe"])
@pytest.mark.parametrize("command", [["init"], ["up"], ["demo"], ["person", "list"]], ids=" ".join)
def test_a_broken_file_is_named(folder: Path, broken: bytes, command: list[str]) -> None:
    (folder / "b2cal.toml").write_bytes(broken)
    error = CliRunner().invoke(group, command).exception
    assert isinstance(error, SettingsRefused)
    assert str(error).startswith(f"{folder / 'b2cal.toml'} is not valid TOML: ")


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("homme = 'x'", "homme is not known; did you mean 'home'?"),
        ("[site]\nprot = 1", "site.prot is not known; did you mean 'port'?"),
        ("[batch]\nfoo = 1", "batch.foo is not known; known are doors, output, tape, xrootd, opens_per_s, "),
        (
            "[batch]\ndoors = ['root://a/store']",
            "batch.doors.1 must be an address such as root://host:1094//store, not ",
        ),
        (
            "[batch]\ndoors = ['root://a//store']\noutput = 'root://a//storehouse/cdst'",
            "batch the output root://a//storehouse/cdst is behind none of the doors ['root://a//store'].",
        ),
        ("[site]\nport = 'x'", "site.port must be a whole number, not 'x'."),
        ("[loop]\nreminders = [nan]", "loop.reminders.1 must be at most 1.0, not nan."),
        ("[loop]\nreminders = [0.5, 1.5]", "loop.reminders.2 must be at most 1.0, not 1.5."),
        ("[loop]\nwindow_s = nan", "loop.window_s must be at most 3162240000.0, not nan."),
        ("[loop]\nwindow_s = 1e12", "loop.window_s must be at most 3162240000.0, not "),
        ("[site]\nport = 70000", "site.port must be at most 65535, not 70000."),
        ("site = 3", "site must be a table, not 3."),
        ("[site]\nport = 8511\n[airflow]\nport = 8511", "site.port and airflow.port are both 8511; they must differ."),
    ],
)
def test_a_key_or_value_is_named(folder: Path, toml: str, says: str) -> None:
    (folder / "b2cal.toml").write_text(toml)
    assert refused().startswith(f"The settings cannot be used: {says}")


@pytest.mark.parametrize(
    ("variable", "says"),
    [
        ("B2CAL_SITE_PORT", "B2CAL_SITE_PORT is not known; did you mean 'B2CAL_SITE__PORT'?"),
        ("B2CAL_HOMES", "B2CAL_HOMES is not known; did you mean 'B2CAL_HOME'?"),
        ("B2CAL_USERS", "B2CAL_USERS is not known; did you mean 'B2CAL_USER'?"),
        ("B2CAL_SITE", "error parsing value for field"),
    ],
)
def test_a_variable_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, says: str) -> None:
    monkeypatch.setenv(variable, "8511")
    if variable == "B2CAL_SITE":
        monkeypatch.setenv(variable, "{")
    assert says in refused()


def test_one_port_in_two_places_is_refused_when_only_one_of_them_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("B2CAL_SITE__PORT", str(Settings().airflow.port))
    assert "site.port and airflow.port are both" in refused()


def test_every_setting_can_be_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NO_SETTINGS:
        monkeypatch.setenv(name, "x")
    tree = Settings().model_dump(mode="json")
    for name, value in tree.items():
        inner = value if isinstance(value, dict) else {"": value}
        for key, each in inner.items():
            text = each if isinstance(each, str) else json.dumps(each)
            monkeypatch.setenv(f"B2CAL_{name}{key and '__' + key}".upper(), text)
    assert read_settings().model_dump(mode="json") == tree
