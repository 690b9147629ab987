"""Batch systems behind one contract, and the rules by which failed jobs are tried again."""

from .centres import LOCAL, UnknownCentre, backend_of, backends, known_centre
from .contract import START, Backend, BatchError, BatchGroup, BatchId, BatchJob, Cursor, Handle, JobEvent
from .crashpoints import crashpoint
from .local import LocalBackend
from .logs import NOTHING, WINDOW, Excerpt, around_error, read_log
from .ready import objection
from .report import SO_FAR, Heartbeat, JobReport
from .retry import RULES, Plan, RetryPolicy, about_slow, plan, retry_policy

__all__ = [
    "LOCAL",
    "NOTHING",
    "RULES",
    "SO_FAR",
    "START",
    "WINDOW",
    "Backend",
    "BatchError",
    "BatchGroup",
    "BatchId",
    "BatchJob",
    "Cursor",
    "Excerpt",
    "Handle",
    "Heartbeat",
    "JobEvent",
    "JobReport",
    "LocalBackend",
    "Plan",
    "RetryPolicy",
    "UnknownCentre",
    "about_slow",
    "around_error",
    "backend_of",
    "backends",
    "crashpoint",
    "known_centre",
    "objection",
    "plan",
    "read_log",
    "retry_policy",
]
