"""`b2cal up`: everything of one home runs in the foreground until Ctrl-C."""

import fcntl
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from types import FrameType

import click

from b2cal.core.errors import B2calError
from b2cal.model import migrate
from b2cal.settings import Settings

from .components import Component, components
from .desk import Desk, pass_desk
from .ports import check_ports
from .processes import end_leftovers
from .supervisor import Supervisor
from .watch import ComponentStatus

log = logging.getLogger(__name__)

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Handler = Callable[[int, FrameType | None], None]


class AlreadyRunning(B2calError):
    """Another `b2cal up` holds this home."""


class CannotUseHome(B2calError):
    """The home folder cannot be made or written."""


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
    return (
        f"  site     http://{settings.site.host}:{settings.site.port}\n"
        f"  Airflow  http://127.0.0.1:{settings.airflow.port}  user admin, "
        f"password in {settings.folder('airflow') / 'passwords.json'}\n"
        f"  logs     {settings.logs}\n"
        "Ctrl-C stops everything; batch jobs go on."
    )


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
    """All components of this home run while the context is open.

    Used in the main thread: SIGTERM and the loss of the terminal then end it like Ctrl-C.

    Raises:
        AlreadyRunning: another `b2cal up` has this home.
        PortInUse: a port that a component needs is taken.
        CannotUseHome: the folder cannot be made or written.
        KeyboardInterrupt: Ctrl-C, SIGTERM or SIGHUP; all has been stopped.
    """
    with supervising(components(settings), settings.folder(""), lambda: migrate(settings.url)) as supervisor:
        yield supervisor


@contextmanager
def supervising(watched: Sequence[Component], home: Path, prepare: Callable[[], None]) -> Iterator[Supervisor]:
    """The same for any components: `prepare` is called when nothing of an earlier supervisor runs any more."""
    _make_folders(home)
    with _logging_to(home / "logs" / "up.log"), _alone_in(home):
        for name in end_leftovers(home / "run"):
            log.warning("Ended what an earlier `b2cal up` had left of %s", name)
        check_ports(watched)
        prepare()
        supervisor = Supervisor(watched, home)
        hurry = Event()
        with _on_signal(_interrupt):
            try:
                supervisor.start()
                yield supervisor
            finally:
                with _on_signal(lambda _number, _frame: hurry.set()):
                    supervisor.stop(hurry)


def _make_folders(home: Path) -> None:
    try:
        for name in ("run", "logs", "dags"):
            (home / name).mkdir(parents=True, exist_ok=True)
        (home / "run" / "up.lock").touch()
    except OSError as error:
        raise CannotUseHome(
            f"Cannot write in {home}: {error.strerror}.",
            hint="Make the folder writable or choose another: `home` in b2cal.toml, or the environment variable "
            "B2CAL_HOME.",
        ) from error


@contextmanager
def _alone_in(home: Path) -> Iterator[None]:
    # The kernel frees the lock with the process, however that ends.
    with open(home / "run" / "up.lock", "r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(
                f"b2cal is already running in {home}, as process {lock.read()}.",
                hint="To stop it, press Ctrl-C in its terminal or send SIGTERM to that process. A second b2cal needs "
                "a home (B2CAL_HOME) and ports of its own.",
            ) from None
        lock.truncate()
        lock.write(str(os.getpid()))
        lock.flush()
        yield


@contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    room = logging.getLogger("b2cal.cli")
    room.addHandler(handler)
    room.setLevel(logging.INFO)
    try:
        yield
    finally:
        room.removeHandler(handler)
        handler.close()


@contextmanager
def _on_signal(handler: Handler) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in ENDING_SIGNALS}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
