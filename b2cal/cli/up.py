"""`b2cal up`: everything of one home runs in the foreground until Ctrl-C."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import click

from b2cal.model import migrate
from b2cal.settings import Settings

from .components import components
from .desk import Desk, pass_desk
from .foreground import supervising
from .supervisor import Supervisor
from .watch import ComponentStatus, Phase


@click.command()
@pass_desk
def up(desk: Desk) -> None:
    """Run Airflow, the agent and the site in the foreground; Ctrl-C stops them, batch jobs go on."""
    click.echo(f"Starting b2cal in {desk.settings.folder('')}")
    try:
        with running(desk.settings) as supervisor:
            click.echo(addresses(desk.settings))
            show_changes(supervisor)
    except KeyboardInterrupt:
        click.echo("Stopped. Batch jobs go on; `b2cal up` continues where this ended.")


def addresses(settings: Settings) -> str:
    """Where a person finds what runs."""
    url = {one.name: one.address.url for one in components(settings) if one.address is not None}
    return (
        f"  site     {url['site']}\n"
        f"  Airflow  {url['api-server']}  user admin, password in {settings.folder('airflow') / 'passwords.json'}\n"
        f"  logs     {settings.logs}\n"
        "Ctrl-C stops everything; batch jobs go on."
    )


def troubles(components: Iterable[ComponentStatus]) -> list[str]:
    """A line for each component that does not run and is tried again: what else is shown may wait for it."""
    return [
        f"{status.name} {status.note}; it is started again, see {status.log}"
        for status in components
        if status.phase is Phase.WAITING and status.note
    ]


def show_changes(supervisor: Supervisor) -> None:
    """Print one line whenever a component changes what it does. Ends only by an interrupt."""
    shown: dict[str, ComponentStatus] = {}
    while True:
        for status in supervisor.status:
            if shown.get(status.name) != status:
                shown[status.name] = status
                note = f" ({status.note})" if status.note else ""
                click.echo(f"{time.strftime('%H:%M:%S')}  {status.name:13} {status.phase}{note}")
        time.sleep(0.2)


@contextmanager
def running(settings: Settings) -> Iterator[Supervisor]:
    """Airflow, agent and site of this home run while the context is open; see `supervising`."""
    with supervising(components(settings), settings.folder(""), lambda: migrate(settings.url)) as supervisor:
        yield supervisor
