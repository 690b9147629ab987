"""`python -m b2cal.airflow scheduler` (or another component): becomes that process of Airflow, configured for b2cal."""

import argparse
import fcntl
import gc
import os
import sys
from collections.abc import Mapping

from b2cal.core.errors import B2calError
from b2cal.settings import Settings

from .config import airflow_home, write_configuration
from .metadata import ready_metadata

# The log servers would cost 95 MiB each, to hand out files that lie on this machine anyway.
OPTIONS = {
    "api-server": (),
    "scheduler": ("--skip-serve-logs",),
    "dag-processor": (),
    "triggerer": ("--skip-serve-logs",),
}


def environment(settings: Settings, inherited: Mapping[str, str]) -> dict[str, str]:
    """What a process of Airflow finds in its environment: our configuration and nobody else's."""
    others = ("AIRFLOW", "PYTHONPATH", "B2CAL_DATA__COPY_EVERY_S")
    ours = {name: value for name, value in inherited.items() if not name.startswith(others)}
    copies = {"B2CAL_DATA__COPY_EVERY_S": str(settings.data.copy_every_s)}
    return ours | {
        # The processes of one Airflow talk to each other, never through a site's web proxy.
        "no_proxy": ",".join(filter(None, (inherited.get("no_proxy"), "127.0.0.1", "localhost"))),
        "AIRFLOW_HOME": str(airflow_home(settings)),
        "B2CAL_HOME": str(settings.home.absolute()),
        "B2CAL_DAGS": str(settings.dags),
        # The builder of DAGs cannot afford to import the settings.
        "B2CAL_DATA__SCAN_EVERY_S": str(settings.data.scan_every_s),
        **(copies if any(storage.tape for storage in settings.storages.values()) else {}),
    }


def prepare(settings: Settings, ours: Mapping[str, str]) -> None:
    """Configuration and metadata database. The four components start at once: one does it, the others wait for it."""
    home = airflow_home(settings)
    for folder in (home, settings.dags):
        folder.mkdir(parents=True, exist_ok=True)
    with open(home / "prepare.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        write_configuration(settings)
        ready_metadata(settings, ours)


def main() -> None:
    """Make configuration and metadata database ready, then become Airflow: the process stays the same."""
    parser = argparse.ArgumentParser(prog="python -m b2cal.airflow", description=__doc__)
    parser.add_argument("component", choices=OPTIONS)
    component = parser.parse_args().component
    settings = Settings()
    ours = environment(settings, os.environ)
    try:
        prepare(settings, ours)
    except B2calError as problem:
        sys.exit(f"{problem}\n{problem.hint}")
    os.environ.clear()
    os.environ.update(ours)
    # Airflow makes a million objects at its start, and all of them stay: to look for garbage among them again and
    # again takes a quarter of the time.
    gc.set_threshold(100_000)
    if component == "scheduler":
        # Its workers and their tasks are forks of it: what it has imported costs a task neither time nor memory.
        import b2cal.loop  # noqa: F401
    from airflow.__main__ import main as become_airflow

    sys.argv = ["airflow", component, *OPTIONS[component]]
    become_airflow()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
