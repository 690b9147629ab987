"""A real XRootD server of the tests' own."""

import ctypes.util
import io
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from b2cal.calibration.doors import fetch

from .credentials import Authority, Issuer, private
from .ports import free_ports

HERE = Path(__file__).parent

# How often the client looks at its clock, which it does every 15 s by itself. Read when it is loaded.
os.environ.setdefault("XRD_TIMEOUTRESOLUTION", "1")


@dataclass(frozen=True)
class Door:
    """A server whose state lies in a folder; stopped and started again it listens on the same port."""

    folder: Path
    extra: Path | None = None
    """Further configuration."""

    room: str = ""
    """What it exports is a disk of this size, which only it sees, and which goes with it."""

    @property
    def files(self) -> Path:
        """What it exports, on the disk."""
        return self.folder / "data"

    @property
    def port(self) -> int:
        return int((self.folder / "port").read_text())

    def url(self, path: str = "") -> str:
        """Where something that it exports is, as clients name it."""
        return f"root://127.0.0.1:{self.port}//{path.lstrip('/')}"

    def start(self) -> None:
        self._xrootd_sh("up")

    def stop(self) -> None:
        self._xrootd_sh("down")

    def kill(self) -> None:
        """Now, whatever it does."""
        os.kill(int((self.folder / "pid").read_text()), signal.SIGKILL)

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Meanwhile it takes connections, as the kernel does that for it, and answers nothing."""
        self._xrootd_sh("freeze")
        try:
            yield
        finally:
            self._xrootd_sh("thaw")

    def _xrootd_sh(self, command: str) -> None:
        call = ["bash", HERE / "xrootd.sh", command, self.folder]
        environment = {**os.environ, "XROOTD_EXTRA": str(self.extra or ""), "XROOTD_ROOM": self.room}
        done = subprocess.run(call, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def adler32_of(url: str) -> str:
    """The checksum of the bytes that come from behind a door."""
    return fetch(url, io.BytesIO())


def installed() -> None:
    """The test is skipped, with one line, where there is no XRootD server."""
    if shutil.which("xrootd") is None:
        pytest.skip("no xrootd on this machine: apt-get install xrootd-server xrootd-client")


@contextmanager
def running(folder: Path, extra: Path | None = None, room: str = "") -> Iterator[Door]:
    """A server that exports `folder/data`; it is gone at the end."""
    installed()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "port").write_text(str(free_ports(1)[0]))
    door = Door(folder, extra, room)
    door.start()
    try:
        yield door
    finally:
        door.stop()


@contextmanager
def two_running(folder: Path) -> Iterator[tuple[Door, Door]]:
    """Two servers that export the same files."""
    (folder / "first" / "data").mkdir(parents=True)
    (folder / "second").mkdir()
    (folder / "second" / "data").symlink_to(folder / "first" / "data")
    with running(folder / "first") as first, running(folder / "second") as second:
        yield first, second


def wants_tokens(folder: Path, issuer: Issuer, authority: Authority) -> Path:
    """The configuration of a server that does what a bearer token of the issuer says, and listens by TLS.

    It knows the keys of the issuer already, as if it had asked for them a moment ago. `certificates` beside is for its
    clients.
    """
    if ctypes.util.find_library("SciTokens") is None:
        pytest.skip("no SciTokens for XRootD on this machine: apt-get install xrootd-scitokens-plugins")
    extra, known = folder / "tokens.cfg", folder / "cache" / "scitokens" / "scitokens_cpp.sqllite"
    known.parent.mkdir(parents=True)
    later = int(time.time()) + 86400
    row = (issuer.url, json.dumps({"jwks": issuer.keys, "expires": later, "next_update": later}))
    with closing(sqlite3.connect(known)) as connection, connection:
        connection.execute("CREATE TABLE keycache (issuer text UNIQUE PRIMARY KEY NOT NULL, keys text NOT NULL)")
        connection.execute("INSERT INTO keycache VALUES (?, ?)", row)
    (folder / "scitokens.cfg").write_text(
        f"[Global]\naudience = https://wlcg.cern.ch/jwt/v1/any\n[Issuer tests]\nissuer = {issuer.url}\nbase_path = /\n"
    )
    certificates = _certified(folder, authority)
    extra.write_text(f"""
xrd.tls {folder}/server.pem {folder}/server.key
xrd.tlsca certdir {certificates}
xrootd.tls all
xrootd.seclib libXrdSec.so
sec.protocol ztn
ofs.authorize 1
ofs.authlib libXrdAccSciTokens.so config={folder}/scitokens.cfg
setenv XDG_CACHE_HOME = {folder}/cache
""")
    return extra


def _certified(folder: Path, authority: Authority) -> Path:
    """Give a server its certificate and key; the folder of the authorities that it trusts, as its clients should."""
    certificates = folder / "certificates"
    certificates.mkdir()
    authority.trusted_in(certificates)
    (folder / "server.pem").write_bytes(authority.server.certificate_pem)
    private(folder / "server.key", authority.server.key_pem)
    return certificates


def wants_proxies(folder: Path, authority: Authority) -> Path:
    """The configuration of a server that lets in who has an X.509 proxy, with `certificates` for its clients beside."""
    certificates = _certified(folder, authority)
    own = f"-certdir:{certificates} -cert:{folder}/server.pem -key:{folder}/server.key"
    extra = folder / "gsi.cfg"
    extra.write_text(f"xrootd.seclib libXrdSec.so\nsec.protocol gsi {own} -crl:0 -gmapopt:10 -dlgpxy:0\n")
    return extra
