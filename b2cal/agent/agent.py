"""The agent: look, carry out, collect, relay; again and again."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from b2cal.batch import Backend, BatchError
from b2cal.core.errors import B2calError
from b2cal.model import Database, GroupState
from b2cal.settings import Settings

from .bring_logs import bring_log
from .carry_out import carry_out, note_failure, take_back
from .collect_events import Stream, collect_events
from .desk import Desk
from .hosts import avoided
from .lease import AgentLease, LeaseLost, this_process
from .orders import Order, open_orders
from .outbox import Handler, OutboxRelay
from .probes import send_and_judge
from .races import end_races
from .reckon import EVERY, Reckoning, reckon
from .renewals import Renewals
from .slow import LOOK_EVERY, look_for_slow_jobs

LONGEST_PAUSE_S = 30.0
"""How long a group rests, at most, whose batch system could not do what it was asked."""

PATIENCE = timedelta(seconds=5)
"""A batch system that takes longer until it cannot do what it was asked rests as a whole: others wait for it."""

log = structlog.get_logger(__name__)


class Agent:
    """The one process that talks to batch systems. It changes no calibration's state and begins no stage.

    What it remembers can be lost at any moment: where it is in each stream of events, and what rests until when.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        backends: Mapping[str, Backend],
        handlers: Mapping[str, Handler],
        holder: str = "",
    ) -> None:
        self._lease = AgentLease(database, holder or this_process())
        self._desk = Desk(settings, database, backends, self._lease)
        self._outbox = OutboxRelay(self._desk, handlers)
        self._renewals = Renewals(self._desk)
        self._streams: defaultdict[str, Stream] = defaultdict(Stream)
        self._resting: dict[int | str, datetime] = {}  # groups, and centres
        self._reckonings: dict[str, Reckoning] = {}
        self._troubled = True  # there may be incidents, from before
        self._avoided: dict[str, list[str]] = {}
        self._looked_for_slow: datetime | None = None
        self._raced: set[str] = set()  # where no job is known to have lost a race

    def round(self) -> bool:
        """Do all that is due; tells whether this process is the agent. What fails is tried again in a later round."""
        try:
            if not self._lease.keep():
                return False
            self._renewals.look()
            orders = self._orders()
            self._carry_out(orders)
            heard = self._collect_events()
            if any(order.state is GroupState.SUBMITTED for order in orders):
                bring_log(self._desk)
            self._look_for_slow_jobs(heard)
            self._outbox.relay()
        except LeaseLost:
            log.warning("another agent has taken over")
            self._forget()
            return False
        return True

    def stop(self) -> None:
        """Let the next agent begin at once; jobs go on."""
        self._renewals.stop()
        self._lease.give_back()
        self._forget()

    def _orders(self) -> list[Order]:
        with self._desk.database.read() as db:
            return open_orders(db)

    def _carry_out(self, orders: Sequence[Order]) -> None:
        self._troubled |= any(order.waits for order in orders)
        at = self._desk.now()
        self._resting = {who: until for who, until in self._resting.items() if until > at}
        for order in orders:
            self._lease.keep()  # a group of thousands of jobs takes its time
            step = _step(order, at)
            if step is not None and self._resting.keys().isdisjoint({order.group_id, order.centre}):
                self._do(step, order)

    def _do(self, step: Callable[[Desk, Order], bool], order: Order) -> None:
        begun = self._desk.now()
        try:
            adopted = step(self._desk, order)
            self._raced.discard(order.centre)  # it may hold jobs that have lost before they were there
            if adopted:
                self._streams[order.centre].unheeded.add(order.token)
        except LeaseLost:
            raise
        except Exception as error:  # noqa: BLE001 (whatever is wrong with one group must not stop the others)
            log.warning("a group has to wait", token=order.token, step=step.__name__, error=repr(error))
            self._rest_if_it_hangs(order.centre, begun)
            after = self._resting.get(order.centre, self._desk.now())  # the other groups of its centre go first
            self._streams[order.centre].unheeded.add(order.token)  # it may have been adopted all the same
            self._resting[order.group_id] = after + self._pause
            message = str(error)
            self._desk.write(lambda db: note_failure(db, order.group_id, message))

    def _collect_events(self) -> set[str]:
        """Take in what has happened; tells which centres have said so."""
        incidents, heard = False, set()
        for centre, backend in self._desk.backends.items():
            if centre in self._resting:
                incidents |= self._troubled
                continue
            self._lease.keep()
            begun = self._desk.now()
            try:
                ended = collect_events(self._desk, backend, self._streams[centre])
                heard.add(centre)
                self._troubled |= ended
                last = self._reckonings.get(centre) or Reckoning(self._desk.now() + EVERY)
                self._reckonings[centre] = reckon(self._desk, centre, backend, last)
                if ended or self._reckonings[centre] is not last:
                    self._raced.discard(centre)
                self._end_races(centre, backend)
                if self._troubled:
                    incidents |= self._look_after(centre, backend)
            except (B2calError, OSError) as error:
                incidents |= self._troubled
                log.warning("a batch system does not answer", centre=centre, error=str(error))
                self._rest_if_it_hangs(centre, begun)
        self._troubled = incidents
        return heard

    def _end_races(self, centre: str, backend: Backend) -> None:
        """Cancel what has lost a race, where jobs came or ended since; what cannot be cancelled now is tried again."""
        if centre in self._raced:
            return
        try:
            end_races(self._desk, centre, backend)
        except BatchError as error:
            log.warning("a race cannot be ended now", centre=centre, error=str(error))
        else:
            self._raced.add(centre)

    def _look_for_slow_jobs(self, heard: Collection[str]) -> None:
        """Judge the jobs of centres that have just been heard: at others they may have ended long ago."""
        at = self._desk.now()
        if self._looked_for_slow is None or at - self._looked_for_slow >= LOOK_EVERY:
            look_for_slow_jobs(self._desk, at, heard)
            self._looked_for_slow = at

    def _rest_if_it_hangs(self, centre: str, begun: datetime) -> None:
        """Leave a centre alone for a while that took long to fail."""
        at = self._desk.now()
        if at - begun > PATIENCE:
            self._resting[centre] = at + self._pause

    @property
    def _pause(self) -> timedelta:
        return timedelta(seconds=min(self._desk.settings.batch.retry_delay_s, LONGEST_PAUSE_S))

    def _look_after(self, centre: str, backend: Backend) -> bool:
        """Do what is due about the incidents of a centre; tells whether there is any."""
        try:
            return send_and_judge(self._desk, centre, backend)
        finally:
            with self._desk.database.read() as db:
                hosts = avoided(db, centre)
            if hosts != self._avoided.get(centre):  # jobs that wait may avoid some on behalf of an earlier agent
                backend.avoid(hosts)
                self._avoided[centre] = hosts

    def _forget(self) -> None:
        self._lease.forget()
        self._streams.clear()
        self._reckonings.clear()
        self._avoided.clear()
        self._raced.clear()
        self._troubled = True


def _step(order: Order, at: datetime) -> Callable[[Desk, Order], bool] | None:
    """What is due for a group."""
    if not order.live:
        return take_back
    stopped = order.held or order.waits or order.asks
    if order.state is GroupState.WANTED and order.not_before <= at and not stopped:
        return carry_out
    return None
