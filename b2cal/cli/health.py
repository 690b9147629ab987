"""Signs of life of the components: who is alive but does not answer is as bad as dead."""

import json
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from b2cal.core.clock import SystemClock
from b2cal.model import Database, Lease

from .components import Address, Component

TIMEOUT_S = 2.0


def signs_of_life(components: Sequence[Component]) -> dict[str, datetime | None]:
    """When each component last showed that it works; None if it did not answer.

    A component is left out where nothing can be said: it neither answers to HTTP nor keeps a lease nor has a heartbeat
    in Airflow's database, or who would tell it, a database or the api-server, does not answer itself.
    """
    signs: dict[str, datetime | None] = {}
    heartbeats: dict[str, datetime | None] = {}
    for component in components:
        if component.address is not None:
            answer = _ask(component.address)
            signs[component.name] = None if answer is None else datetime.now(UTC)
            heartbeats |= _heartbeats(answer or b"")
        if component.lease_in:
            with suppress(SQLAlchemyError):
                signs[component.name] = _held_until(component.lease_in, component.name)
    told = {component.name: component.heartbeat for component in components if component.heartbeat in heartbeats}
    return signs | {name: heartbeats[heartbeat] for name, heartbeat in told.items()}


def _ask(address: Address) -> bytes | None:
    # Not urllib: that would send the question to a web proxy where one is set. Every status is an answer.
    try:
        with closing(HTTPConnection(address.reachable, address.port, timeout=TIMEOUT_S)) as connection:
            answer = b""
            for page in address.pages:
                connection.request("GET", page)
                answer = connection.getresponse().read()
            return answer
    except (OSError, HTTPException):
        return None


def _held_until(url: str, name: str) -> datetime | None:
    """Until when somebody had this lease, at most until now; None if nobody ever had it."""
    clock = SystemClock()
    database = Database(url, clock)
    try:
        with database.read() as db:
            ends = db.scalar(select(Lease.expires_at).where(Lease.name == name))
    finally:
        database.dispose()
    return None if ends is None else min(ends, clock.now())


def _heartbeats(answer: bytes) -> dict[str, datetime | None]:
    """What Airflow's `/api/v2/monitor/health` tells: component -> time of its latest heartbeat, None before any."""
    try:
        told = json.loads(answer)
    except ValueError:
        return {}
    if not isinstance(told, Mapping):
        return {}
    latest = {
        name: entry[f"latest_{name}_heartbeat"]
        for name, entry in told.items()
        if isinstance(entry, Mapping) and f"latest_{name}_heartbeat" in entry
    }
    return {name: datetime.fromisoformat(moment) if moment else None for name, moment in latest.items()}
