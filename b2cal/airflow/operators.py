"""The tasks of the DAGs. Each of a processing asks the loop what is due, and waits by the trigger while nothing is.

They look first, in the worker, and return at once where there is nothing to wait for: a deferral costs a second. They
never fail for a reason of the domain; an exception is a fault of the infrastructure, and the task is tried again.
"""

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from .passes import generation_at_start
from .trigger import SignalTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from b2cal.loop import Progress, Workplace


class LoopOperator(BaseOperator):
    """Advances one thing of a processing until it is over, or the processing has a new generation.

    Attributes:
        processing: name of the processing.
        calibration: name of the calibration; None for the processing itself.
    """

    ui_color = "#dbe9f6"

    def __init__(self, *, processing: str, calibration: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.processing = processing
        self.calibration = calibration

    def over(self, progress: "Progress") -> bool:
        """Whether this task has nothing more to wait for."""
        return progress.finished

    def execute(self, context: "Context") -> None:
        """Do all that is due; wait if that was not all."""
        from b2cal import loop

        workplace = loop.open_workplace()
        key = (self.processing, None)
        started = generation_at_start(
            self.processing, context["dag_run"].run_id, lambda: loop.signals(workplace, [key])[key][1]
        )
        progress = self._advance(workplace)
        if self.over(progress):
            self.leave(progress)
        elif progress.generation == started:
            label = self.calibration or self.processing
            self.log.info("%s is %s; next look at %s", label, progress.state, progress.next_due or "the next signal")
            self.wait(progress, until=progress.next_due, then="resume")

    def resume(self, context: "Context", event: str | None = None) -> None:
        """Look again. Late, early or twice: what counts is only what the loop finds now."""
        self.execute(context)

    def leave(self, progress: "Progress") -> None:
        """What is left to do when there is nothing more to wait for."""

    def wait(self, progress: "Progress", *, until: datetime | None, then: str) -> None:
        """Give the worker back until something differs from what `progress` saw, or until a time."""
        self.defer(
            trigger=SignalTrigger(
                processing=self.processing,
                calibration=self.calibration,
                signal=progress.signal,
                generation=progress.generation,
                next_due=until,
            ),
            method_name=then,
        )

    def _advance(self, workplace: "Workplace") -> "Progress":
        from b2cal import loop

        if self.calibration is None:
            return loop.advance_processing(workplace, self.processing)
        return loop.advance(workplace, self.processing, self.calibration)


class WaitForWindow(LoopOperator):
    """Ends when the calibration is no longer open: submitted by its expert, or by b2cal at the end of the window."""

    ui_color = "#f6eed6"

    def over(self, progress: "Progress") -> bool:
        from b2cal.model import State

        return progress.finished or progress.state != State.OPEN


class RunCalibration(LoopOperator):
    """Ends when the calibration is finished: signed off or vetoed."""


class CloseProcessing(LoopOperator):
    """Ends when the processing is published or cancelled, and Airflow had time to read that its graph has ended."""

    ui_color = "#e0f0dc"

    # More than a round of the dag processor: else Airflow would go on starting runs that find nothing to do.
    LINGER = timedelta(seconds=8)

    def leave(self, progress: "Progress") -> None:
        self.wait(progress, until=datetime.now(UTC) + self.LINGER, then="end")

    def end(self, context: "Context", event: str | None = None) -> None:
        """Nothing more to do."""


class LookForData(BaseOperator):
    """Scans the watched folders; one that cannot be looked at is no fault of the task."""

    ui_color = "#eee6f6"

    def execute(self, context: "Context") -> None:
        """Look once."""
        from b2cal import loop

        for look in loop.look_at_watched(loop.open_workplace()):
            self.log.info("%s", look)


class CleanUp(BaseOperator):
    """Removes what maintenance has left in Airflow more than a week ago.

    Attributes:
        dags: ids of the DAGs of which runs are removed.
    """

    ui_color = "#eee6f6"

    def __init__(self, *, dags: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dags = dags

    def execute(self, context: "Context") -> None:
        """Remove what is old."""
        from b2cal.settings import Settings

        from .__main__ import environment
        from .cleaning import forget_old_runs

        settings = Settings()
        forget_old_runs(settings, environment(settings, os.environ), self.dags, datetime.now(UTC))


class RemoveLeftovers(BaseOperator):
    """Removes what productions have left behind doors in vain; a server that is away is no fault of the task."""

    ui_color = "#eee6f6"

    def execute(self, context: "Context") -> None:
        """Remove what is old."""
        from b2cal import loop

        for removed in loop.remove_leftovers(loop.open_workplace()):
            self.log.info("%s", removed)


class CopyToTape(BaseOperator):
    """Copies what productions have made to a second place; a copy that fails is no fault of the task."""

    ui_color = "#eee6f6"

    def execute(self, context: "Context") -> None:
        """Copy all that is due."""
        from b2cal import loop

        for made in loop.make_copies(loop.open_workplace()):
            self.log.info("%s", made)
