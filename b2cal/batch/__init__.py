"""Batch systems behind one contract, and the rules by which failed jobs are tried again."""

from .centres import LOCAL, UnknownCentre, backend_of, backends, known_centre
from .contract import START, Backend, BatchError, BatchGroup, BatchId, BatchJob, Cursor, Handle, JobEvent
from .crashpoints import crashpoint
from .local import LocalBackend
from .ready import objection
from .report import SO_FAR, Heartbeat, JobReport
from .retry import RULES, Plan, RetryPolicy, about_slow, plan, retry_policy

__all__ = [
    "LOCAL",
    "RULES",
    "SO_FAR",
    "START",
    "Backend",
    "BatchError",
    "BatchGroup",
    "BatchId",
    "BatchJob",
    "Cursor",
    "Handle",
    "Heartbeat",
    "JobEvent",
    "JobReport",
    "LocalBackend",
    "Plan",
    "RetryPolicy",
    "UnknownCentre",
    "about_slow",
    "backend_of",
    "backends",
    "crashpoint",
    "known_centre",
    "objection",
    "plan",
    "retry_policy",
]
