"""How tasks wait: one trigger class, and one reader that asks the calibration database for all of them at once.

Triggers only observe. They may run twice or move to another triggerer at any time.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from airflow.triggers.base import BaseTrigger, TriggerEvent

from b2cal.core.clock import Clock, SystemClock

log = logging.getLogger(__name__)

Key = tuple[str, str | None]
"""(processing, calibration); None in place of the calibration means the processing itself."""

Seen = tuple[int, int]
"""(signal, generation)"""

Look = Callable[[Collection[Key]], Mapping[Key, Seen]]
"""One query for all keys; what is not in the answer does not exist."""


class SignalTrigger(BaseTrigger):
    """Fires when the signal or the generation differs from what the task saw, or `next_due` has passed."""

    def __init__(
        self, *, processing: str, calibration: str | None, signal: int, generation: int, next_due: datetime | None
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.processing = processing
        self.calibration = calibration
        self.signal = signal
        self.generation = generation
        self.next_due = next_due

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            "b2cal.airflow.trigger.SignalTrigger",
            {
                "processing": self.processing,
                "calibration": self.calibration,
                "signal": self.signal,
                "generation": self.generation,
                "next_due": self.next_due,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        waiter = Waiter((self.processing, self.calibration), (self.signal, self.generation), self.next_due)
        await SignalReader.of_this_triggerer().wait(waiter)
        yield TriggerEvent("look again")  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Waiter:
    """What one trigger waits for: anything else than `seen` for `key`, or the time `due`."""

    key: Key
    seen: Seen
    due: datetime | None

    def is_over(self, found: Mapping[Key, Seen] | None, now: datetime) -> bool:
        """Judge by what a round found; None if the database could not be asked."""
        if self.due is not None and now >= self.due:
            return True
        return found is not None and found.get(self.key) != self.seen


class SignalReader:
    """Asks once per round for all that wait in this event loop, in a thread; stops when nobody waits any more."""

    ROUND = timedelta(seconds=0.5)
    ROUND_AFTER_ERROR_S = 2.0

    # One triggerer process has one event loop; its reader belongs to it and goes with it.
    _readers: ClassVar["WeakKeyDictionary[asyncio.AbstractEventLoop, SignalReader]"] = WeakKeyDictionary()

    def __init__(self, look: Look, clock: Clock) -> None:
        self._look = look
        self._clock = clock
        self._waiters: dict[asyncio.Future[None], Waiter] = {}
        self._rounds: asyncio.Task[None] | None = None

    @classmethod
    def of_this_triggerer(cls) -> "SignalReader":
        """The reader that all triggers of this event loop share."""
        event_loop = asyncio.get_running_loop()
        if event_loop not in cls._readers:
            cls._readers[event_loop] = cls(look_at_the_database(), SystemClock())
        return cls._readers[event_loop]

    async def wait(self, waiter: Waiter) -> None:
        """Return when the waiter's time has come."""
        over = asyncio.get_running_loop().create_future()
        self._waiters[over] = waiter
        if self._rounds is None or self._rounds.done():
            self._rounds = asyncio.create_task(self._read())
        try:
            await over
        finally:
            del self._waiters[over]

    async def _read(self) -> None:
        healthy = True
        while self._waiters:
            asked = dict(self._waiters)  # who joins during the query was not asked for and is judged next time
            found = None
            try:
                found = await asyncio.to_thread(self._look, {waiter.key for waiter in asked.values()})
            except Exception:  # whatever ails the database: those who wait go on waiting
                if healthy:
                    log.exception("Cannot read the signals of %d waiting tasks; trying on", len(asked))
            healthy = found is not None
            now = self._clock.now()
            for over, waiter in asked.items():
                if not over.done() and waiter.is_over(found, now):
                    over.set_result(None)
            await asyncio.sleep(self._pause(now) if healthy else self.ROUND_AFTER_ERROR_S)

    def _pause(self, now: datetime) -> float:
        until_due = (waiter.due - now for waiter in self._waiters.values() if waiter.due is not None)
        return min(max(timedelta(0), min(until_due, default=self.ROUND)), self.ROUND).total_seconds()


def look_at_the_database() -> Look:
    """The query of the loop, with a workplace that is opened by the first call, in its thread."""
    workplace = None

    def look(keys: Collection[Key]) -> Mapping[Key, Seen]:
        nonlocal workplace
        from b2cal import loop

        if workplace is None:
            workplace = loop.open_workplace()
        return loop.signals(workplace, keys)

    return look
