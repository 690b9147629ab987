"""What `b2cal up` runs: Airflow's four processes, the agent and the site. Siblings, started by their command lines."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel

from b2cal.settings import Section, Settings


@dataclass(frozen=True)
class Address:
    """Where a component listens, which setting says so, and the pages to ask for; the last one tells its health."""

    host: str
    port: int
    setting: str
    pages: tuple[str, ...] = ("/",)

    @property
    def url(self) -> str:
        """As a person on this machine would type it."""
        return f"http://{_in_url(self.reachable)}:{self.port}"

    @property
    def remedy(self) -> str:
        """What to do if nobody can listen there."""
        variable = f"B2CAL_{self.setting.upper().replace('.', '__')}"
        port = f"Choose another port: `{self.setting}` in b2cal.toml, or the environment variable {variable}."
        return port if self.host == "127.0.0.1" else f"{port} {self.host} must be an address of this machine."

    @property
    def reachable(self) -> str:
        """A host to connect to: one that listens on all of them is reached on the loopback."""
        return "127.0.0.1" if self.host in ("0.0.0.0", "::", "") else self.host  # noqa: S104 - compared, not bound


@dataclass(frozen=True)
class Component:
    """One process that is kept alive.

    Attributes:
        name: also of its log file.
        command: argument list.
        address: where it answers to HTTP, if it does.
        heartbeat: its name in what Airflow tells about the health of its processes, if it stands there.
        lease_in: URL of the database in which it keeps a lease of its name, if it does.
        patience_s: if it worked and shows no sign of life for so long it is ended and started again.
        rests_on: a file; when that vanishes or is replaced, what the process holds open is no longer the truth.
        needs_children: its child processes live as long as itself; without one of them it does not work.
    """

    name: str
    command: tuple[str, ...]
    address: Address | None = None
    heartbeat: str = ""
    lease_in: str = ""
    patience_s: float = 60.0
    rests_on: Path | None = None
    needs_children: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_mute(self) -> bool:
        """Whether it shows no sign of life other than being alive."""
        return self.address is None and not self.heartbeat and not self.lease_in


def components(settings: Settings) -> tuple[Component, ...]:
    """All components, in the order in which they are started: first what people see."""
    return (_site(settings), _agent(settings), *_airflow(settings))


def _site(settings: Settings) -> Component:
    site = settings.site
    command = (
        *("gunicorn", "b2cal.site:serve()", "--bind", f"{_in_url(site.host)}:{site.port}"),
        *("--workers", str(site.workers), "--worker-class", "gthread", "--threads", str(site.threads)),
        *("--graceful-timeout", "3", "--no-control-socket"),
    )
    return Component(
        "site",
        (sys.executable, "-m", *command),
        Address(site.host, site.port, "site.port"),
        environment=_environment(settings),
    )


def _agent(settings: Settings) -> Component:
    return Component(
        "agent",
        (sys.executable, "-m", "b2cal.agent"),
        lease_in=settings.url,
        patience_s=300.0,  # it makes the folders of thousands of jobs in one go
        environment=_environment(settings),
    )


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _airflow(settings: Settings) -> tuple[Component, ...]:
    # Airflow builds its execution API with the first request to it, 4 s of computing: better now than for a task.
    pages = ("/execution/health", "/api/v2/monitor/health")
    address = Address("127.0.0.1", settings.airflow.port, "airflow.port", pages)
    metadata = None if settings.airflow.database_url else settings.folder("airflow") / "airflow.db"
    return tuple(
        Component(
            name,
            (sys.executable, "-m", "b2cal.airflow", name),
            address if name == "api-server" else None,
            heartbeat,
            rests_on=metadata,
            # A worker that is killed while it waits for work takes the lock of the queue with it: from then on no
            # worker gets any, while the scheduler looks healthy.
            needs_children=name == "scheduler",
            environment=_environment(settings),
        )
        for name, heartbeat in (
            ("api-server", ""),
            ("scheduler", "scheduler"),
            ("dag-processor", "dag_processor"),
            ("triggerer", "triggerer"),
        )
    )


def _environment(settings: Settings) -> dict[str, str]:
    # All settings, not only the home: a component that is restarted must not meet a b2cal.toml edited meanwhile. And
    # nothing that would let another Python's packages in.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    placed = settings.model_copy(update={"home": settings.home.absolute()})
    return inherited | dict(_variables("B2CAL_", placed)) | {"B2CAL_DAGS": str(settings.dags), "PYTHONUNBUFFERED": "1"}


def _variables(prefix: str, section: BaseModel) -> Iterator[tuple[str, str]]:
    tree = section.model_dump(mode="json")
    for name, value in section:
        if isinstance(value, Section):
            yield from _variables(f"{prefix}{name.upper()}__", value)
        else:
            said = tree[name]
            yield f"{prefix}{name.upper()}", said if isinstance(said, str) else json.dumps(said)
