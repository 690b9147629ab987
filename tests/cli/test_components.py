import re
from pathlib import Path

import pytest

from b2cal.cli.components import Address, components
from b2cal.core.failures import Remedy, Source
from b2cal.settings import (
    AirflowSettings,
    BatchSettings,
    CondorSettings,
    LoopSettings,
    RetryRule,
    Settings,
    SiteSettings,
)

DOOR = "root://se.example.org:1094//store"
RULE = RetryRule(
    source=Source.EXIT, code=3, pattern=re.compile("no licence"), remedy=Remedy.NEVER, because="it is in use"
)
NAMES = {"site", "agent", "api-server", "scheduler", "dag-processor", "triggerer"}


def test_every_component_has_exactly_the_settings_of_who_started_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(
        home=tmp_path / "home",
        database_url="sqlite:////tmp/a%20b.db",
        site=SiteSettings(port=18401),
        airflow=AirflowSettings(port=18481, parallelism=2),
        batch=BatchSettings(slots=3, retry_delay_s=2.5, rules=(RULE,)),
        loop=LoopSettings(window_s=5.0, reminders=(0.25, 0.5)),
        centres={"bnl": CondorSettings(backend="htcondor", doors=(DOOR,), submit={"+Project": '"belle"'})},
    )
    edited = f'[site]\nport = 1\n[centres.bnl]\nbackend = "htcondor"\ndoors = ["{DOOR}/2"]\n'  # after the start
    (tmp_path / "b2cal.toml").write_text(edited)
    monkeypatch.chdir(tmp_path)
    for component in components(settings):
        with pytest.MonkeyPatch.context() as theirs:
            for name, value in component.environment.items():
                theirs.setenv(name, value)
            assert Settings() == settings


def test_another_pythons_packages_do_not_leak_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/cvmfs/other/python")
    monkeypatch.setenv("PYTHONHOME", "/cvmfs/other")
    for component in components(Settings(home=tmp_path)):
        assert not {"PYTHONPATH", "PYTHONHOME"} & set(component.environment)


def test_all_that_listens_is_checked_and_says_which_setting_moves_it(tmp_path: Path) -> None:
    listening = {one.name: one.address for one in components(Settings(home=tmp_path)) if one.address is not None}
    assert {name: address.setting for name, address in listening.items()} == {
        "site": "site.port",
        "api-server": "airflow.port",
    }
    assert {component.name for component in components(Settings(home=tmp_path))} == NAMES


def test_only_airflow_on_sqlite_rests_on_a_file(tmp_path: Path) -> None:
    postgres = AirflowSettings(database_url="postgresql+psycopg://airflow@db/airflow")
    for airflow, resting in ((AirflowSettings(), NAMES - {"site", "agent"}), (postgres, set[str]())):
        found = components(Settings(home=tmp_path, airflow=airflow))
        assert {component.name for component in found if component.rests_on is not None} == resting


@pytest.mark.parametrize("host", ["127.0.0.1", "::", ""])
def test_a_component_that_listens_everywhere_is_reached_here(host: str) -> None:
    assert Address(host, 8400, "site.port").url == "http://127.0.0.1:8400"


def test_an_address_of_ipv6_is_written_in_brackets(tmp_path: Path) -> None:
    site, *_ = components(Settings(home=tmp_path, site=SiteSettings(host="::1", port=8400)))
    assert site.address is not None
    assert site.address.url == "http://[::1]:8400"
    assert "[::1]:8400" in site.command


def test_every_component_shows_some_sign_of_life(tmp_path: Path) -> None:
    assert [component.name for component in components(Settings(home=tmp_path)) if component.is_mute] == []
