"""Bring what running jobs have printed so far into their folders, for those that somebody asked for."""

import structlog

from b2cal.batch import SO_FAR
from b2cal.core.errors import B2calError
from b2cal.core.files import write_atomically
from b2cal.loop import log_brought, wanted_logs

from .desk import Desk

TAIL_BYTES = 64 * 1024
"""The end of what is printed, of each of its files."""

log = structlog.get_logger(__name__)


def bring_log(desk: Desk) -> None:
    """Bring the log that was asked for first; one a time, since a machine may take seconds to answer."""
    with desk.database.read() as db:
        wanted = wanted_logs(db)
    if not wanted:
        return
    job = wanted[0]
    try:
        printed = desk.backends[job.centre].log(job.batch_id, TAIL_BYTES)
        write_atomically(desk.settings.attempts / job.folder / SO_FAR, printed)
    except (B2calError, KeyError, OSError) as error:
        log.warning("what a job prints cannot be brought", job=job.batch_id, error=str(error))
    desk.write(lambda db: log_brought(db, job.id))
