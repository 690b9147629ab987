"""The agent as the loop sees it: without one nothing begins by itself, whatever is due."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from b2cal.model import Lease, now

AGENT = "agent"
"""Name of the lease that makes a process the one agent."""


def agent_at_work(db: Session) -> str | None:
    """Who is the agent now, by host and process; None: b2cal does not run."""
    return db.scalar(select(Lease.holder).where(Lease.name == AGENT, Lease.expires_at > now(db)))
