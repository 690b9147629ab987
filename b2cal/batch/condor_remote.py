"""A schedd on another machine: it sees no file of this one, and writes no event log here.

The files of jobs are sent with the submission (HTCondor calls that spooling). How jobs stand one query tells for all of
them, now and then. A job that has ended stays in the queue until what it brings back was fetched into its folder; then
it is let go.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import structlog

from b2cal.settings import CondorSettings

from .condor import Condor, home
from .condor_schedd import HELD, WHOLE, quoted
from .contract import BatchError, BatchGroup, Cursor, Handle, JobEvent
from .known import KnownJob, LearningJobs

AT_A_TIME = 100
"""Jobs that are fetched in one call."""

log = structlog.get_logger(__name__)


class AskedJobs(LearningJobs):
    """What the schedd said of jobs when it was asked."""

    def learn(self, jobs: Iterable[KnownJob]) -> None:
        """Take in how jobs stand."""
        for job in jobs:
            known = self.job(job.batch_id)
            if known is None or (not known.ended and _standing(known) != _standing(job)):
                self.note(job, job.handle.state, job.failure, job.at)


class RemoteCondorBackend(Condor):
    """One schedd elsewhere. The name of `folder` tells this installation from others of the same account."""

    def __init__(self, pool: CondorSettings, folder: Path) -> None:
        self._asked = AskedJobs()
        self._own = {"My.B2calHome": home(folder)}
        self._of_this_home = f"B2calHome == {home(folder)}"
        super().__init__(pool, self._asked, f"{self._of_this_home} && {WHOLE}")

    def find(self, token: str) -> list[Handle]:
        # Of a submission that broke off nothing may count later: it would wait for its files for ever.
        broken = f"B2calToken == {quoted(token)} && {self._of_this_home} && !({WHOLE}) && JobStatus == {HELD}"
        self._schedd.remove_all(broken)
        return super().find(token)

    def events(self, since: Cursor) -> Iterator[JobEvent]:
        if self._look_is_due(self._pool.ask_every_s):
            self._look()
        return self._told(since)

    def _hand_over(self, group: BatchGroup, wanted: Mapping[str, str], each: Sequence[Mapping[str, str]]) -> None:
        self._schedd.send({**wanted, **self._own}, each)
        self._asked.learn(self._schedd.queued(f"B2calToken == {quoted(group.token)} && {self._ours}"))

    def _hear(self) -> None:
        """It says nothing without being asked."""

    def _look(self) -> None:
        waiting = self._schedd.completed(self._ours)
        fetched = [job.batch_id for job in waiting if (it := self._asked.job(job.batch_id)) is not None and it.ended]
        self._schedd.let_go(fetched)  # it has not heard that before
        completed = [job for job in waiting if job.batch_id not in fetched]
        for first in range(0, len(completed), AT_A_TIME):
            self._fetch(completed[first : first + AT_A_TIME])
        super()._look()

    def _fetch(self, jobs: Sequence[KnownJob]) -> None:
        """Bring home what jobs have made, then tell their end; if that fails one by one, for one may be to blame."""
        ids = [job.batch_id for job in jobs]
        try:
            self._schedd.fetch(ids)
        except BatchError as error:
            self._schedd.ping()
            if len(jobs) == 1:  # as a rule its folder is gone, or the disk is full
                log.warning("what a job brings back cannot be fetched", folder=str(jobs[0].folder), error=str(error))
                return
            for job in jobs:
                self._fetch([job])
            return
        self._asked.learn(jobs)
        self._schedd.let_go(ids)


def _standing(job: KnownJob) -> tuple[object, object]:
    return job.handle.state, job.failure
