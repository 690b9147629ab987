import threading
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred
from sqlalchemy.orm import Session

from b2cal.airflow.operators import CloseProcessing, LoopOperator, RunCalibration, WaitForWindow
from b2cal.airflow.trigger import SignalTrigger
from b2cal.loop import NotFound
from b2cal.model import Calibration, Database, Decision, Processing, ProcessingState, State, Submission, now
from tests import factories

FIRST_RUN: Any = {"dag_run": SimpleNamespace(run_id="scheduled__1")}
SECOND_RUN: Any = {"dag_run": SimpleNamespace(run_id="scheduled__2")}


@pytest.fixture
def bucket(database: Database) -> tuple[Database, str]:
    """A processing with one calibration, whose window is open."""

    def unit(db: Session) -> str:
        return factories.calibration(db, name="Time offsets").processing.name

    return database, database.write(unit)


def change(database: Database, **columns: Any) -> None:
    """Set columns of the one calibration or its processing, as the loop would."""

    def unit(db: Session) -> None:
        it = db.query(Calibration).one()
        for name, value in columns.items():
            setattr(it if name in ("state", "signal") else it.processing, name, value)

    database.write(unit)


def window(processing: str) -> LoopOperator:
    return WaitForWindow(task_id="window", processing=processing, calibration="Time offsets")


def run(processing: str) -> LoopOperator:
    return RunCalibration(task_id="run", processing=processing, calibration="Time offsets")


def close(processing: str) -> LoopOperator:
    return CloseProcessing(task_id="close", processing=processing)


def waits(task: LoopOperator, context: Any = FIRST_RUN) -> SignalTrigger:
    """The task gives its worker back; what it waits for."""
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context)
    assert deferred.value.method_name == "resume"
    assert isinstance(deferred.value.trigger, SignalTrigger)
    return deferred.value.trigger


def test_a_window_is_waited_for_until_the_loop_has_to_look_again(bucket: tuple[Database, str]) -> None:
    database, processing = bucket
    trigger = waits(window(processing))
    with database.read() as db:
        it = db.query(Calibration).one()
        assert (trigger.processing, trigger.calibration) == (processing, "Time offsets")
        assert (trigger.signal, trigger.generation) == (it.signal, it.processing.generation)
        assert it.window_ends_at is not None
        assert trigger.next_due is not None
        assert trigger.next_due <= it.window_ends_at


def test_a_window_ends_at_once_when_its_calibration_is_submitted(bucket: tuple[Database, str]) -> None:
    database, processing = bucket
    change(database, state=State.SUBMITTED)
    window(processing).execute(FIRST_RUN)


@pytest.mark.parametrize("state", [State.SIGNED_OFF, State.VETOED])
def test_a_run_ends_at_once_when_its_calibration_is_finished(bucket: tuple[Database, str], state: State) -> None:
    database, processing = bucket
    change(database, state=state)
    run(processing).execute(FIRST_RUN)


@pytest.mark.parametrize("state", [State.FAILED, State.OPEN])
def test_what_is_failed_rejected_or_held_is_waited_for_and_fails_no_task(
    bucket: tuple[Database, str], state: State
) -> None:
    database, processing = bucket
    change(database, state=state, held=True)
    waits(run(processing))


def test_a_task_that_resumes_looks_again_and_waits_again(bucket: tuple[Database, str]) -> None:
    database, processing = bucket
    task = run(processing)
    first = waits(task)
    change(database, signal=first.signal + 1)
    with pytest.raises(TaskDeferred) as deferred:
        task.resume(FIRST_RUN, "look again")
    assert isinstance(deferred.value.trigger, SignalTrigger)
    assert deferred.value.trigger.signal == first.signal + 1


def test_a_new_generation_ends_every_task_of_the_run_but_not_of_the_next(bucket: tuple[Database, str]) -> None:
    database, processing = bucket
    tasks = [window(processing), run(processing), close(processing)]
    generation = waits(tasks[0]).generation
    change(database, generation=generation + 1)
    for task in tasks:
        task.resume(FIRST_RUN, "look again")  # those that waited
        task.execute(FIRST_RUN)  # those that start only now
    for task in tasks:
        assert waits(task, SECOND_RUN).generation == generation + 1


def test_an_exception_is_left_to_airflow_which_tries_again(bucket: tuple[Database, str]) -> None:
    _, processing = bucket
    with pytest.raises(NotFound):
        RunCalibration(task_id="run", processing=processing, calibration="Nothing").execute(FIRST_RUN)


def test_the_processing_is_closed_only_when_it_is_over_and_after_airflow_could_read_that(
    bucket: tuple[Database, str],
) -> None:
    database, processing = bucket
    task = close(processing)
    assert waits(task).calibration is None
    change(database, state=State.VETOED)
    change(database, publish_policy="auto")
    with pytest.raises(TaskDeferred) as lingers:
        task.resume(FIRST_RUN, "look again")
    with database.read() as db:
        assert db.query(Processing).one().state is ProcessingState.PUBLISHED
    assert lingers.value.method_name == "end"
    task.end(FIRST_RUN, "look again")


def test_two_tasks_at_once_do_what_is_due_once_and_wait_for_the_same(database: Database) -> None:
    """Airflow may run a task a second time while the first still lives."""

    def unit(db: Session) -> str:
        release = factories.release(db, vocabulary={"Data Quality Tag": ["Good"]})
        processing = factories.processing(db, release=release)
        return factories.calibration(db, processing, window_ends_at=now(db)).processing.name

    processing = database.write(unit)
    barrier = threading.Barrier(2)
    triggers = []

    def task() -> None:
        barrier.wait()
        triggers.append(waits(run(processing)))

    threads = [threading.Thread(target=task) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as db:
        it = db.query(Calibration).one()
        assert it.state is State.SUBMITTED
        assert [submission.automatic for submission in db.query(Submission)] == [True]
        assert [decision.verb for decision in db.query(Decision)] == ["submit"]
    # Who came second may have looked before: then its signal is an older one, and the trigger wakes it at once.
    assert max(trigger.signal for trigger in triggers) <= it.signal
    assert waits(run(processing)).signal == it.signal
