import asyncio
import threading
import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.serialization.serialized_objects import BaseSerialization

from b2cal.airflow.trigger import Key, Seen, SignalReader, SignalTrigger, Waiter
from b2cal.core.clock import ManualClock
from b2cal.model import Calibration, Database
from tests import factories

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Board:
    """A database of signals whose every query is noted."""

    def __init__(self, **signals: int) -> None:
        self.signals: dict[Key, Seen] = {("bucket1", name): (signal, 1) for name, signal in signals.items()}
        self.queries: list[set[Key]] = []
        self.broken = False
        self._looked = threading.Semaphore(0)

    async def looks(self, times: int) -> None:
        """Wait until it was asked that many times more."""
        while self._looked.acquire(blocking=False):
            pass
        for _ in range(times):
            assert await asyncio.to_thread(self._looked.acquire, timeout=10)

    def __call__(self, keys: Collection[Key]) -> Mapping[Key, Seen]:
        self.queries.append(set(keys))
        self._looked.release()
        if self.broken:
            raise OSError("the database is away")
        return {key: self.signals[key] for key in keys if key in self.signals}


@pytest.fixture(autouse=True)
def short_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SignalReader, "ROUND", timedelta(milliseconds=5))
    monkeypatch.setattr(SignalReader, "ROUND_AFTER_ERROR_S", 0.005)


def waiter(name: str, signal: int = 1, due: datetime | None = None) -> Waiter:
    return Waiter(("bucket1", name), (signal, 1), due)


def test_a_trigger_is_the_same_after_airflow_stored_and_read_it() -> None:
    trigger = SignalTrigger(processing="bucket1", calibration=None, signal=3, generation=2, next_due=NOON)
    path, arguments = trigger.serialize()
    stored = BaseSerialization.deserialize(BaseSerialization.serialize(arguments))
    module, _, name = path.rpartition(".")
    assert (module, name) == (SignalTrigger.__module__, SignalTrigger.__name__)
    assert SignalTrigger(**stored).serialize() == (path, arguments)


@pytest.mark.parametrize("now", [(2, 1), (1, 2), None])
def test_who_waits_is_told_of_a_new_signal_a_new_generation_and_a_vanished_calibration(now: Seen | None) -> None:
    async def scenario() -> None:
        board = Board(mask=1)
        told = asyncio.create_task(SignalReader(board, ManualClock(NOON)).wait(waiter("mask")))
        await board.looks(3)
        assert not told.done()
        if now is None:
            del board.signals["bucket1", "mask"]
        else:
            board.signals["bucket1", "mask"] = now
        await told

    asyncio.run(scenario())


def test_who_waits_is_told_when_the_time_has_come_even_without_a_database() -> None:
    async def scenario() -> None:
        board, clock = Board(mask=1), ManualClock(NOON)
        board.broken = True
        told = asyncio.create_task(SignalReader(board, clock).wait(waiter("mask", due=NOON + timedelta(hours=1))))
        await board.looks(3)
        assert not told.done()
        clock.advance(timedelta(hours=1))
        await told

    asyncio.run(scenario())


def test_one_query_per_round_serves_all_who_wait() -> None:
    async def scenario() -> None:
        board = Board(**{f"c{i}": 1 for i in range(50)})
        reader = SignalReader(board, ManualClock(NOON))
        all_waiting = [asyncio.create_task(reader.wait(waiter(f"c{i}"))) for i in range(50)]
        await board.looks(3)
        assert board.queries[-1] == set(board.signals)
        board.signals = dict.fromkeys(board.signals, (2, 1))
        before = len(board.queries)
        await asyncio.gather(*all_waiting)
        assert len(board.queries) <= before + 2

    asyncio.run(scenario())


def test_only_those_whose_signal_changed_are_told() -> None:
    async def scenario() -> None:
        board = Board(mask=1, offsets=1)
        reader = SignalReader(board, ManualClock(NOON))
        mask, offsets = (asyncio.create_task(reader.wait(waiter(name))) for name in ("mask", "offsets"))
        await board.looks(1)
        board.signals["bucket1", "mask"] = (2, 1)
        await mask
        await board.looks(2)
        assert not offsets.done()
        offsets.cancel()

    asyncio.run(scenario())


def test_errors_of_the_database_are_reported_once_and_waited_out(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        board = Board(mask=1)
        board.broken = True
        told = asyncio.create_task(SignalReader(board, ManualClock(NOON)).wait(waiter("mask", signal=0)))
        await board.looks(4)
        assert not told.done()
        board.broken = False
        await told

    asyncio.run(scenario())
    assert caplog.text.count("Traceback") == 1


def test_nobody_is_asked_for_when_nobody_waits() -> None:
    async def scenario() -> None:
        board = Board(mask=2)
        reader = SignalReader(board, ManualClock(NOON))
        await reader.wait(waiter("mask"))
        this = asyncio.current_task()
        await asyncio.gather(*(task for task in asyncio.all_tasks() if task is not this))  # the reader ends by itself
        await reader.wait(waiter("mask"))  # and begins again with the next one
        assert board.queries == [{("bucket1", "mask")}] * 2

    asyncio.run(scenario())


def test_a_trigger_that_is_cancelled_is_asked_for_no_more() -> None:
    async def scenario() -> None:
        board = Board(mask=1, offsets=1)
        reader = SignalReader(board, ManualClock(NOON))
        mask, offsets = (asyncio.create_task(reader.wait(waiter(name))) for name in ("mask", "offsets"))
        await board.looks(1)
        mask.cancel()
        await board.looks(2)
        assert board.queries[-1] == {("bucket1", "offsets")}
        offsets.cancel()

    asyncio.run(scenario())


def test_a_slow_query_does_not_stop_the_event_loop() -> None:
    async def scenario() -> float:
        def slow(keys: Collection[Key]) -> Mapping[Key, Seen]:
            time.sleep(0.3)  # what a client library does while the database is busy
            return {}

        told = asyncio.create_task(SignalReader(slow, ManualClock(NOON)).wait(waiter("mask")))
        longest = 0.0
        while not told.done():
            before = time.monotonic()
            await asyncio.sleep(0.001)
            longest = max(longest, time.monotonic() - before)
        return longest

    assert asyncio.run(scenario()) < 0.25


def test_the_trigger_fires_when_the_loop_raises_the_signal(database: Database, home: Path) -> None:
    def bucket(db: Any) -> tuple[int, str, str, int]:
        it = factories.calibration(db)
        return it.id, it.processing.name, it.name, it.signal

    def raise_signal(db: Any) -> None:
        db.get_one(Calibration, identity).signal += 1

    identity, processing, calibration, signal = database.write(bucket)

    async def scenario() -> None:
        trigger = SignalTrigger(
            processing=processing, calibration=calibration, signal=signal, generation=1, next_due=None
        )
        events = trigger.run()
        fired = asyncio.ensure_future(anext(events))
        assert await asyncio.wait({fired}, timeout=0.1) == (set(), {fired})
        await asyncio.to_thread(database.write, raise_signal)
        await fired
        await events.aclose()

    asyncio.run(scenario())
