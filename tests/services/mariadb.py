"""A MariaDB server of the tests' own: data, socket and log in a folder, on a free port of this machine."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path

import pymysql

from b2cal.core.clock import Clock, SystemClock
from b2cal.model import Base, Database, migrate
from b2cal.settings import Settings

from .ports import free_ports

PATIENCE_S = 60.0
USER, PASSWORD = "b2cal", "secret"
PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
MISSING = "" if shutil.which("mariadbd", path=PATH) else "no mariadbd on this machine: apt-get install mariadb-server"

# For tests only: nothing is flushed, so a power cut would lose it.
OPTIONS = (
    "--bind-address=127.0.0.1",
    "--skip-name-resolve",
    "--skip-log-bin",
    "--character-set-server=latin1",  # what b2cal needs it says itself
    "--default-time-zone=+05:30",
    "--innodb-buffer-pool-size=32M",
    "--innodb-log-file-size=16M",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=0",
    "--performance-schema=0",
)


@dataclass(frozen=True)
class MariaDb:
    """A server that runs."""

    port: int

    def url(self, name: str) -> str:
        return f"mariadb+pymysql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{name}"

    def new(self, name: str) -> str:
        """The address of a new, empty database without tables."""
        with pymysql.connect(host="127.0.0.1", port=self.port, user=USER, password=PASSWORD) as connection:
            connection.cursor().execute("SET foreign_key_checks = 0")
            connection.cursor().execute(f"CREATE OR REPLACE DATABASE `{name}`")
        return self.url(name)


class Emptied:
    """One migrated database for many tests, which is emptied for each: its tables are made once."""

    def __init__(self, server: MariaDb) -> None:
        self.url = server.new("emptied")
        migrate(self.url)

    def database(self, clock: Clock | None = None) -> Database:
        """Without any row."""
        database = Database(self.url, clock or SystemClock())
        with database.engine.begin() as connection:
            connection.exec_driver_sql("SET foreign_key_checks = 0")
            for table in Base.metadata.tables.values():
                connection.execute(table.delete())
            connection.exec_driver_sql("SET foreign_key_checks = 1")
        return database

    def home(self, folder: Path) -> Settings:
        """A home whose database this is, without any row."""
        self.database().dispose()
        return Settings(home=folder, database_url=self.url)


@contextmanager
def running(folder: Path) -> Iterator[MariaDb]:
    """A server with its data in a folder; it is gone at the end."""
    (port,) = free_ports(1)
    data, log = folder / "data", folder / "error.log"
    install = ["mariadb-install-db", "--no-defaults", f"--user={getuser()}", f"--datadir={data}", "--skip-test-db"]
    environment = {"PATH": PATH, "HOME": str(folder)}
    install += ["--auth-root-authentication-method=normal", "--skip-name-resolve"]
    installed = subprocess.run(install, env=environment, capture_output=True, text=True, check=False)
    assert installed.returncode == 0, installed.stdout + installed.stderr
    accounts = folder / "accounts.sql"
    accounts.write_text(
        f"CREATE USER '{USER}'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\nGRANT ALL ON *.* TO '{USER}'@'127.0.0.1';\n"
    )
    command = ["mariadbd", "--no-defaults", f"--user={getuser()}", f"--datadir={data}", f"--port={port}", *OPTIONS]
    command += [f"--socket={folder / 'socket'}", f"--log-error={log}", f"--init-file={accounts}"]
    server = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        _wait_until_it_answers(server, port, log)
        yield MariaDb(port)
    finally:
        server.terminate()
        try:
            server.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait_until_it_answers(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    patience_ends = time.monotonic() + PATIENCE_S
    while True:
        try:
            pymysql.connect(host="127.0.0.1", port=port, user=USER, password=PASSWORD).close()
        except pymysql.err.OperationalError:
            told = log.read_text() if log.exists() else "nothing"
            assert server.poll() is None, f"mariadbd ended: {told}"
            assert time.monotonic() < patience_ends, f"mariadbd does not answer: {told}"
            time.sleep(0.05)
        else:
            return
