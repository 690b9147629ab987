"""Configuration of the Airflow that belongs to this home: written to `<home>/airflow`, the same for its four processes.

The values, and why they are not Airflow's defaults, were measured: with the defaults a killed process heals in five to
ten minutes, with these in seconds.
"""

import json
import os
import secrets
from base64 import urlsafe_b64encode
from configparser import RawConfigParser
from io import StringIO
from pathlib import Path

from b2cal import shipped
from b2cal.core.files import write_atomically
from b2cal.settings import Settings

Options = dict[str, dict[str, object]]

HEALS_IN_SECONDS: Options = {
    "scheduler": {
        "job_heartbeat_sec": 3,
        "scheduler_heartbeat_sec": 3,
        "scheduler_health_check_threshold": 15,
        "orphaned_tasks_check_interval": 10,
        "task_instance_heartbeat_sec": 3,
        "task_instance_heartbeat_timeout": 20,
        "task_instance_heartbeat_timeout_detection_interval": 5,
        "task_queued_timeout": 60,
        "task_queued_timeout_check_interval": 10,
        "trigger_timeout_check_interval": 10,
    },
    "triggerer": {"job_heartbeat_sec": 3, "triggerer_health_check_threshold": 15},
    "workers": {
        "min_heartbeat_interval": 2,
        "execution_api_retry_wait_max": 5,
        "missing_dag_retry_delay": 5,
    },
}

FAST_AND_FRUGAL: Options = {
    "scheduler": {"scheduler_idle_sleep_time": 0.2},
    "dag_processor": {
        "refresh_interval": 5,
        "min_file_process_interval": 5,
        "parsing_processes": 1,
        "print_stats_interval": 0,
        "dag_version_inflation_check_level": "off",
    },
    "core": {
        "load_examples": False,
        "min_serialized_dag_update_interval": 1,
        "dags_are_paused_at_creation": False,
    },
    "logging": {
        "colored_console_log": False,
        "uvicorn_logging_level": "WARNING",
        # A graph that cannot be read is reported by the process that parses: let that stand in the component's log.
        "dag_processor_log_target": "stdout",
        # They write a line for every request and every round of five seconds.
        "namespace_levels": " ".join(
            f"{name}=WARNING"
            for name in ("http.access", "airflow.dag_processing", "airflow.serialization", "airflow.models.dag")
        ),
    },
}


def airflow_home(settings: Settings) -> Path:
    """Everything that Airflow writes: configuration, metadata database, logs of tasks."""
    return settings.folder("airflow")


def metadata_file(settings: Settings) -> Path | None:
    """The metadata database where it is SQLite; None where an operator gave another."""
    return None if settings.airflow.database_url else airflow_home(settings) / "airflow.db"


def write_configuration(settings: Settings) -> None:
    """Write `airflow.cfg`, and the secrets and the password of Airflow's own pages where there are none yet.

    Every process must find the same secrets, also after a restart: else tasks are refused and waits cannot be read.
    """
    home = airflow_home(settings)
    parser = RawConfigParser()
    for options in (HEALS_IN_SECONDS, FAST_AND_FRUGAL, _of_this_home(settings)):
        for section, values in options.items():
            # Airflow expands % in what it reads.
            parser.read_dict({section: {key: str(value).replace("%", "%%") for key, value in values.items()}})
    text = StringIO()
    parser.write(text)
    _write_private(home / "airflow.cfg", text.getvalue())


def _of_this_home(settings: Settings) -> Options:
    home = airflow_home(settings)
    kept = _kept_secrets(home)
    address = f"http://127.0.0.1:{settings.airflow.port}"
    bundle = {
        "name": "b2cal",
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"path": str(shipped("dags"))},
    }
    return {
        "core": {
            "executor": "LocalExecutor",
            "parallelism": settings.airflow.parallelism,
            "dags_folder": shipped("dags"),
            "execution_api_server_url": f"{address}/execution/",
            "fernet_key": kept["fernet_key"],
            "simple_auth_manager_users": "admin:admin",
            "simple_auth_manager_passwords_file": home / "passwords.json",
        },
        "api": {
            "host": "127.0.0.1",
            "port": settings.airflow.port,
            "base_url": address,
            "workers": 1,
            "secret_key": kept["secret_key"],
        },
        "api_auth": {"jwt_secret": kept["jwt_secret"]},
        "dag_processor": {"dag_bundle_config_list": json.dumps([bundle])},
        "database": {"sql_alchemy_conn": settings.airflow.database_url or f"sqlite:///{metadata_file(settings)}"},
        "logging": {"base_log_folder": home / "logs"},
    }


def _kept_secrets(home: Path) -> dict[str, str]:
    file = home / "secrets.json"
    if not file.exists():
        fresh = {name: secrets.token_urlsafe(48) for name in ("secret_key", "jwt_secret")}
        _write_private(file, json.dumps(fresh | {"fernet_key": urlsafe_b64encode(secrets.token_bytes(32)).decode()}))
    passwords = home / "passwords.json"
    if not passwords.exists():
        _write_private(passwords, json.dumps({"admin": secrets.token_urlsafe(12)}))
    kept: dict[str, str] = json.loads(file.read_text())
    return kept


def _write_private(path: Path, text: str) -> None:
    # Set before the file is made: there is no moment in which another user could read it.
    before = os.umask(0o077)
    try:
        write_atomically(path, text)
    finally:
        os.umask(before)
