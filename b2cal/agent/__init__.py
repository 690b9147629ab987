"""The only process that talks to batch systems: it carries out what loop/ wrote as wanted, and relays the outbox."""

from .agent import Agent
from .lease import AgentLease, LeaseLost
from .outbox import Handler

__all__ = ["Agent", "AgentLease", "Handler", "LeaseLost"]
