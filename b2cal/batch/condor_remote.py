"""A schedd on another machine: it sees no file of this one, and writes no event log here.

The files of jobs are sent with the submission (HTCondor calls that spooling). How jobs stand one query tells for all of
them, now and then. A job that has ended stays in the queue until what it brings back was fetched into its folder; then
it is let go.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import structlog

from b2cal.settings import CondorSettings

from .condor import Condor, home
from .condor_schedd import HELD, WHOLE, quoted
from .contract import BatchError, BatchGroup, BatchId, Cursor, Handle, JobEvent
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
        self._unfetched: set[BatchId] = set()
        super().__init__(pool, self._asked, f"{self._of_this_home} && {WHOLE}")

    def find(self, token: str) -> list[Handle]:
        # Of a submission that broke off nothing may count later: it would wait for its files for ever.
        broken = f"B2calToken == {quoted(token)} && {self._of_this_home} && !({WHOLE}) && JobStatus == {HELD}"
        self._schedd.remove_all(broken)
        return super().find(token)

    def events(self, since: Cursor) -> Iterator[JobEvent]:
        if self._look_is_due(self._pool.ask_every_s):
            for _ in self._fetched():
                for event in self._told(since):  # what is home is told at once: all of it may take long
                    since = event.cursor
                    yield event
            self._look()
        yield from self._told(since)

    def _hand_over(self, group: BatchGroup, wanted: Mapping[str, str], each: Sequence[Mapping[str, str]]) -> None:
        self._schedd.send({**wanted, **self._own}, each)
        self._asked.learn(self._schedd.queued(f"B2calToken == {quoted(group.token)} && {self._ours}"))

    def _hear(self) -> None:
        """It says nothing without being asked."""

    def _fetched(self) -> Iterator[None]:
        """Bring home what jobs have made, some at a time, then tell their end and let them go.

        If that fails it is tried one by one, for one may be to blame. Where two fail it is no job, but as a rule a full
        disk: nothing more is tried now. Those two come last from then on, so that they keep no others waiting.
        """
        waiting = self._schedd.completed(self._ours)
        fetched = [job.batch_id for job in waiting if (it := self._asked.job(job.batch_id)) is not None and it.ended]
        self._schedd.let_go(fetched)  # it has not heard that before
        wanted = [job for job in waiting if job.batch_id not in fetched]
        self._unfetched &= {job.batch_id for job in wanted}
        wanted.sort(key=lambda job: job.batch_id in self._unfetched)
        parts = deque(wanted[first : first + AT_A_TIME] for first in range(0, len(wanted), AT_A_TIME))
        failed: dict[BatchId, Path] = {}
        why = ""
        while parts and len(failed) < 2:
            part = parts.popleft()
            ids = [job.batch_id for job in part]
            try:
                self._schedd.fetch(ids)
            except BatchError as error:
                self._schedd.ping()
                if len(part) > 1:
                    parts.extendleft([job] for job in reversed(part))
                else:
                    failed[part[0].batch_id], why = part[0].folder, str(error)
                continue
            self._asked.learn(part)
            self._schedd.let_go(ids)
            yield
        if failed:
            self._unfetched.update(failed)
            left, folders = sum(map(len, parts)), [str(folder) for folder in failed.values()]
            log.warning("what jobs bring back cannot be fetched now", folders=folders, not_tried=left, error=why)


def _standing(job: KnownJob) -> tuple[object, ...]:
    return job.handle.state, job.failure, job.began
