"""Whether every component can listen where it wants to, asked before anything is started."""

import errno
import socket
from collections.abc import Iterable
from contextlib import closing, suppress

import psutil

from b2cal.core.errors import B2calError

from .components import Address, Component


class PortInUse(B2calError):
    """Somebody else listens where a component wants to, or the address is not one of this machine."""


def check_ports(watched: Iterable[Component]) -> None:
    """See that every component can listen where it wants to.

    Raises:
        PortInUse: names the port, who holds it where that can be known, and the setting to change.
    """
    for component in watched:
        address = component.address
        if address is not None and (why := taken(address)):
            raise PortInUse(
                f"The {component.name} cannot listen on port {address.port} of {address.host}: {why}.",
                hint=address.remedy,
            )


def taken(address: Address) -> str:
    """What keeps a component from listening there, in words; empty if nothing does."""
    why = refusal(address)
    if why is None:
        return ""
    if why.errno == errno.EADDRINUSE:
        with suppress(psutil.Error):
            for process in listeners(address.port):
                return f"process {process.pid} ({process.name()}) of {process.username()} does so already"
    return str(why.strerror).lower()


def refusal(address: Address) -> OSError | None:
    """The error that a component would meet that listens there."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: old connections do not count
            probe.bind((address.host, address.port))
    except OSError as error:
        return error
    return None


def listeners(port: int) -> list[psutil.Process]:
    """Who listens on a port, as far as that can be seen: other users' processes are not everywhere visible."""
    with suppress(psutil.Error):
        found = psutil.net_connections("tcp")
        pids = {it.pid for it in found if it.status == psutil.CONN_LISTEN and it.laddr[1:] == (port,) and it.pid}
        return [psutil.Process(pid) for pid in sorted(pids)]
    return []
