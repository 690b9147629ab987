"""Ports for the servers of the tests."""

import random
import socket
from contextlib import closing
from pathlib import Path

LOWEST = 10_000


def free_ports(number: int) -> list[int]:
    """Ports of the loopback that nobody has.

    Below those that the kernel hands out by itself: one of these would be the end of some connection before long.
    """
    lent = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports = random.SystemRandom().sample(range(LOWEST, lent), 50 * number)
    return [port for port in ports if _is_free(port)][:number]


def _is_free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
