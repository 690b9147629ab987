"""What an attempt needs next: another group of jobs, patience, or nothing more."""

from collections import Counter
from collections.abc import Sequence
from itertools import count

from b2cal.core.errors import B2calError
from b2cal.core.fit_outcome import FitOutcome
from b2cal.core.iov import ExpRun, IoV
from b2cal.model import JobState, Kind, Outcome, Stage, job_in_words, stage_in_words

from .outputs import FitResult, UnusableOutput, collected_paths, fit_result, names_read, produced_files
from .partition import label, overlay, partition
from .work import Constants, Ended, ProducedPayload, Spec, StageOutcome, WantedJob, WantGroup, Work


class InvalidWork(B2calError):
    """An attempt that cannot be carried out as it was submitted."""


def next_step(work: Work) -> WantGroup | Ended | None:
    """The next group of jobs, or with what the attempt ended; None while jobs are out.

    Nothing is written. The answer depends on the inputs and on what jobs left behind, never on how long they took or
    in which order they ended.

    Raises:
        ValueError: the work is of kind `copy`, which needs no job.
        OSError: outputs cannot be read at the moment; asking again may help.
    """
    try:
        match work.kind:
            case Kind.CALIBRATE:
                return _calibrate(work)
            case Kind.PRODUCE:
                return _produce(work)
            case Kind.COPY:
                raise ValueError("a copy of constants needs no job")
    except (InvalidWork, UnusableOutput) as error:
        return Ended(Outcome.FAILED, f"{error} {error.hint}")


def measure_step(work: Work, payloads: Sequence[Constants]) -> WantGroup:
    """The one job that measures new constants for the validation.

    It gets what the last iteration collected. Its conditions are those that held before, without constants fed back,
    so that it can compare.
    """
    iteration = max((stage.iteration for stage in work.stages if stage.stage is Stage.COLLECT), default=0)
    collect = _find(work, Stage.COLLECT, iteration)
    spec = _shared_spec(work, Stage.MEASURE, iteration, work.conditions) | {
        "collected": collected_paths(collect) if collect else [],
        "payloads": [payload.to_json() for payload in payloads],
    }
    return WantGroup(Stage.MEASURE, iteration, spec, (WantedJob("new constants", {}),))


def _calibrate(work: Work) -> WantGroup | Ended | None:
    """Collect and fit, and again with the constants fed back, until the fit is content or may not go on."""
    fed_back: list[Constants] = []
    for iteration in count():
        conditions = overlay(work.conditions, fed_back)
        collect = _find(work, Stage.COLLECT, iteration)
        if collect is None:
            return _group_over_files(work, Stage.COLLECT, iteration, conditions)
        fit = _find(work, Stage.FIT, iteration)
        if fit is None and collect.finished and not collect.failed:
            return _fit_group(work, iteration, conditions, collect)
        if fit is None or not fit.finished or fit.failed:
            return _unfinished(fit or collect)
        result = fit_result(fit)
        if result.outcome is not FitOutcome.ITERATE or iteration + 1 >= _max_iterations(work):
            return _fitted(work, result)
        fed_back = overlay(fed_back, [_as_constants(payload) for payload in result.payloads])
    raise AssertionError("counting never ends")


def _produce(work: Work) -> WantGroup | Ended | None:
    stage = _find(work, Stage.PRODUCE, 0)
    if stage is None:
        _refuse_twice(work)
        return _group_over_files(work, Stage.PRODUCE, 0, work.conditions)
    if not stage.finished or stage.failed:
        return _unfinished(stage)
    files = produced_files(stage)
    n_events = sum(file.n_events for file in files)
    return Ended(
        Outcome.FILES, f"{len(files):,} files with {n_events:,} events.", files=files, names_read=names_read([stage])
    )


def _find(work: Work, stage: Stage, iteration: int) -> StageOutcome | None:
    return next((found for found in work.stages if (found.stage, found.iteration) == (stage, iteration)), None)


def _group_over_files(work: Work, stage: Stage, iteration: int, conditions: Sequence[Constants]) -> WantGroup:
    if not work.files:
        raise InvalidWork(
            f"There is no input file in the runs {work.requested}.",
            hint="Choose other runs or filters and submit again, or ask the manager to veto this calibration.",
        )
    jobs = tuple(
        WantedJob(label(files), {"inputs": [file.to_json() for file in files]})
        for files in partition(work.files, work.bytes_per_job)
    )
    return WantGroup(stage, iteration, _shared_spec(work, stage, iteration, conditions), jobs)


def _refuse_twice(work: Work) -> None:
    for path, count_of_names in Counter(file.path for file in work.files).items():
        if count_of_names > 1:
            raise InvalidWork(
                f"{path} is read under {count_of_names} data names, but a production makes one file of each.",
                hint="Choose filters by which each run of a stream belongs to one data name, and submit again.",
            )


def _fit_group(work: Work, iteration: int, conditions: Sequence[Constants], collect: StageOutcome) -> WantGroup:
    spec = _shared_spec(work, Stage.FIT, iteration, conditions) | {
        "collected": collected_paths(collect),
        "iovs": [iov.to_json() for iov in _iovs(work)],
    }
    return WantGroup(Stage.FIT, iteration, spec, (WantedJob(stage_in_words(Stage.FIT, iteration), {}),))


def _iovs(work: Work) -> list[IoV]:
    # Imported here, because it brings numpy with it and most processes of b2cal plan nothing.
    from b2cal.calibration.strategy import InvalidBoundaries, Strategy, pieces

    runs = {ExpRun.from_number(file.exprun) for file in work.files}
    try:
        return pieces(Strategy(work.traits.get("strategy", Strategy.SINGLE)), work.requested, work.config, runs)
    except InvalidBoundaries as error:
        raise InvalidWork(str(error), error.hint) from error


def _max_iterations(work: Work) -> int:
    return int(work.traits.get("max_iterations", 1))


def _shared_spec(work: Work, stage: Stage, iteration: int, conditions: Sequence[Constants]) -> Spec:
    return {
        "stage": stage.value,
        "release": str(work.release),
        "module": work.module,
        "config": dict(work.config),
        "seed": work.seed,
        "iteration": iteration,
        "conditions": [constants.to_json() for constants in conditions],
    }


def _as_constants(payload: ProducedPayload) -> Constants:
    return Constants(payload.name, payload.first, payload.last, str(payload.path), payload.identity)


def _fitted(work: Work, result: FitResult) -> Ended:
    read = names_read(stage for stage in work.stages if stage.stage is not Stage.MEASURE)
    if result.outcome is FitOutcome.NOT_ENOUGH_DATA:
        return Ended(Outcome.NOTHING, result.message, names_read=read)
    if not result.payloads:
        raise InvalidWork("The fit returned no payload.", hint="Return one, or raise NotEnoughData.")
    converged = result.outcome is FitOutcome.OK
    unconverged = "" if converged else f"Not converged after {_max_iterations(work)} iterations."
    return Ended(
        Outcome.CONSTANTS,
        f"{unconverged} {result.message}".strip(),
        converged,
        result.payloads,
        names_read=read,
        without_data=result.without_data,
    )


def _unfinished(stage: StageOutcome) -> Ended | None:
    if not stage.finished:
        return None
    failed = [job for job in sorted(stage.jobs, key=lambda job: job.number) if job.state is JobState.FAILED]
    what = f"{len(failed)} of {len(stage.jobs)} {stage.stage} jobs failed"
    if not failed:
        return Ended(Outcome.FAILED, f"{what}.")
    first = job_in_words(stage.stage, stage.iteration, failed[0].number)
    return Ended(Outcome.FAILED, f"{what}. See {first}: {failed[0].error}")
