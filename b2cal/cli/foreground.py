"""In the foreground, and alone: one supervisor per home, ended by Ctrl-C, SIGTERM or the loss of its terminal."""

import fcntl
import logging
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from threading import Event
from types import FrameType

from b2cal.core.errors import B2calError

from .components import Component
from .ports import check_ports
from .processes import end_leftovers
from .supervisor import Supervisor

log = logging.getLogger(__name__)

ROOM_BYTES = 16 * 1024**2
"""What a new home takes. With less nothing comes up, and each part would give a reason of its own."""

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Handler = Callable[[int, FrameType | None], None]


class AlreadyRunning(B2calError):
    """Another `b2cal up` holds this home."""


class CannotUseHome(B2calError):
    """The home folder cannot be made or written, or its disk is full."""


class _Log(logging.FileHandler):
    """The log of the supervisor; the terminal shows what it cannot take because the disk is full."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (its name in the standard library)
        """Go on without it."""

    def close(self) -> None:
        """What the disk did not take in time is lost."""
        with suppress(OSError):
            super().close()


@contextmanager
def supervising(watched: Sequence[Component], home: Path, prepare: Callable[[], None]) -> Iterator[Supervisor]:
    """The components run while the context is open. Used in the main thread, which gets the signals.

    Args:
        watched: what runs.
        home: the folder that can have only one supervisor at a time.
        prepare: called when nothing of an earlier supervisor runs any more, and nothing of this one yet.

    Raises:
        AlreadyRunning: another supervisor has this home.
        PortInUse: a port that a component needs is taken.
        CannotUseHome: the folder cannot be made or written.
        KeyboardInterrupt: Ctrl-C, SIGTERM or SIGHUP; all has been stopped.
    """
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


def make_home(home: Path) -> None:
    """The home folder, for nobody else's eyes if it is new: it holds hashes of passwords, and keys of sessions."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)


def _make_folders(home: Path) -> None:
    with using(home):
        make_home(home)
        for name in ("run", "logs", "dags"):
            (home / name).mkdir(parents=True, exist_ok=True)
        (home / "run" / "up.lock").touch()
        with TemporaryFile(dir=home / "run") as probe:
            os.posix_fallocate(probe.fileno(), 0, ROOM_BYTES)


@contextmanager
def using(home: Path) -> Iterator[None]:
    """What is done to the home folder here may fail for a reason that a person can put right.

    Raises:
        CannotUseHome: the folder cannot be made or written, or its disk is full.
    """
    try:
        yield
    except OSError as error:
        raise CannotUseHome(
            f"Cannot write in {home}: {error.strerror}.",
            hint=f"Make the folder writable, with at least {ROOM_BYTES // 1024**2} MiB of room, or choose another:"
            " `home` in b2cal.toml, or the environment variable B2CAL_HOME.",
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
    handler = _Log(path)
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
