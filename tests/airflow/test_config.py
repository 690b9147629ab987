import json
import os
import stat
from configparser import RawConfigParser
from pathlib import Path

import pytest

from b2cal import shipped
from b2cal.airflow.__main__ import environment
from b2cal.airflow.config import airflow_home, write_configuration
from b2cal.settings import AirflowSettings, Settings


@pytest.fixture
def settings(home: Path) -> Settings:
    return Settings(home=home, airflow=AirflowSettings(port=18999, parallelism=3))


def written(settings: Settings) -> RawConfigParser:
    write_configuration(settings)
    parser = RawConfigParser()
    parser.read(airflow_home(settings) / "airflow.cfg")
    return parser


def test_the_configuration_says_where_and_how_this_home_runs(settings: Settings) -> None:
    parser = written(settings)
    assert parser["core"]["execution_api_server_url"] == "http://127.0.0.1:18999/execution/"
    assert (parser["api"]["host"], parser["api"]["port"], parser["api"]["workers"]) == ("127.0.0.1", "18999", "1")
    assert parser["core"]["parallelism"] == "3"
    assert parser["core"]["load_examples"] == "False"
    assert parser["database"]["sql_alchemy_conn"] == f"sqlite:///{airflow_home(settings)}/airflow.db"
    [bundle] = json.loads(parser["dag_processor"]["dag_bundle_config_list"])
    assert Path(bundle["kwargs"]["path"], "processings.py").is_file()
    assert shipped("dags") == Path(bundle["kwargs"]["path"])


def test_no_option_is_one_that_airflow_does_not_know(settings: Settings) -> None:
    """An option that an upgrade of Airflow renames would be ignored in silence."""
    from airflow.configuration import conf

    for section, options in written(settings).items():
        for option in options:
            assert option in conf.configuration_description[section]["options"], f"[{section}] {option}"


def test_secrets_and_password_survive_a_restart(settings: Settings) -> None:
    first, second = written(settings), written(settings)
    for section, option in (("api_auth", "jwt_secret"), ("api", "secret_key"), ("core", "fernet_key")):
        assert len(first[section][option]) > 40
        assert first[section][option] == second[section][option]


def test_two_homes_have_different_secrets(settings: Settings, tmp_path: Path) -> None:
    other = settings.model_copy(update={"home": tmp_path / "other"})
    airflow_home(other).mkdir(parents=True)
    assert written(settings)["api"]["secret_key"] != written(other)["api"]["secret_key"]


def test_nobody_else_can_read_them(settings: Settings) -> None:
    before = os.umask(0)
    try:
        write_configuration(settings)
    finally:
        os.umask(before)
    for name in ("airflow.cfg", "secrets.json", "passwords.json"):
        assert stat.S_IMODE((airflow_home(settings) / name).stat().st_mode) == 0o600, name


def test_airflow_meets_our_configuration_and_nobody_elses(settings: Settings) -> None:
    inherited = {
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW_HOME": "/elsewhere",
        "PYTHONPATH": "/cvmfs/other/python",
        "http_proxy": "http://proxy:3128",
        "no_proxy": "example.org",
        "HOME": "/home/someone",
    }
    ours = environment(settings, inherited)
    assert ours["AIRFLOW_HOME"] == str(airflow_home(settings))
    assert ours["HOME"] == "/home/someone"
    assert ours["no_proxy"] == "example.org,127.0.0.1,localhost"
    assert not {"AIRFLOW__CORE__EXECUTOR", "PYTHONPATH"} & set(ours)
