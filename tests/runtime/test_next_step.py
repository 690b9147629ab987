"""Collect, fit, iterate: what an attempt needs next, and with what it ends."""

import json
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from b2cal.core.iov import OPEN, ExpRun, IoV
from b2cal.model import JobState, Kind, Outcome, Stage
from b2cal.runtime import (
    Constants,
    Ended,
    InputFile,
    JobOutcome,
    StageOutcome,
    WantGroup,
    Work,
    measure_step,
    measurements,
    next_step,
)

RUN = ExpRun(26, 180).number


def work(**changes) -> Work:
    """Three runs of 10 bytes in two jobs, one payload to read."""
    values = {
        "kind": Kind.CALIBRATE,
        "module": "time_offsets",
        "release": Path("/releases/abc"),
        "config": {"min_hits": 100},
        "traits": {"strategy": "single", "max_iterations": 3},
        "seed": "5eed",
        "files": tuple(
            InputFile(f"/data/{n}.root", "bhabha", "bhabha_calib", RUN + n, "c" * 64, 10, 100) for n in range(3)
        ),
        "conditions": (Constants("Gain", RUN - 10, OPEN, "/store/gain.root", "gain-0"),),
        "requested": IoV(ExpRun(26, 180), None),
        "bytes_per_job": 20,
    }
    return Work(**values | changes)


class Batch:
    """Stands where agent and jobs do: each group that is wanted ends at once, with the outputs given to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = count()

    def end(self, work: Work, group: WantGroup, *outputs: dict) -> Work:
        jobs = []
        documents = outputs or ({"names_read": []},) * len(group.jobs)
        for number, document in enumerate(documents):
            folder = self.folder / str(next(self._numbers))
            (folder / "outputs").mkdir(parents=True)
            for entry in [*document.get("payloads", []), *document.get("files", [])]:
                (folder / "outputs" / entry.get("file", "unnamed")).touch()
            name = {Stage.COLLECT: "collected", Stage.MEASURE: "measurements"}.get(group.stage, "result")
            (folder / "outputs" / f"{name}.json").write_text(json.dumps(document))
            jobs.append(JobOutcome(number, JobState.DONE, folder))
        stage = StageOutcome(group.stage, group.iteration, finished=True, failed=False, jobs=tuple(jobs))
        return replace(work, stages=(*work.stages, stage))


@pytest.fixture
def batch(tmp_path):
    return Batch(tmp_path)


def fit_document(outcome="ok", *payloads, message="", names_read=(), without_data=()):
    return {
        "outcome": outcome,
        "message": message,
        "payloads": list(payloads),
        "names_read": list(names_read),
        "without_data": list(without_data),
    }


def payload(name="TimeOffset", first=(26, 180), last=None, identity="id-0"):
    return {"name": name, "first": list(first), "last": last, "file": f"{name}-{identity}", "identity": identity}


def collected(work: Work, batch: Batch, names_read=()) -> Work:
    step = next_step(work)
    assert isinstance(step, WantGroup)
    return batch.end(work, step, *({"names_read": list(names_read)} for _ in step.jobs))


def test_the_first_step_collects_from_whole_runs_in_parallel():
    step = next_step(work())
    assert isinstance(step, WantGroup)
    assert (step.stage, step.iteration) == (Stage.COLLECT, 0)
    assert [job.label for job in step.jobs] == ["runs e26r180 to e26r181", "run e26r182"]
    assert [file["path"] for file in step.jobs[0].spec["inputs"]] == ["/data/0.root", "/data/1.root"]
    assert step.jobs[0].spec["inputs"][1] == {
        "path": "/data/1.root",
        "data_name": "bhabha",
        "stream": "bhabha_calib",
        "exp": 26,
        "run": 181,
        "sha256": "c" * 64,
    }
    gain = {"name": "Gain", "first": [26, 170], "last": None, "path": "/store/gain.root", "identity": "gain-0"}
    assert step.spec == {
        "stage": "collect",
        "release": "/releases/abc",
        "module": "time_offsets",
        "config": {"min_hits": 100},
        "seed": "5eed",
        "iteration": 0,
        "conditions": [gain],
    }


def test_what_is_wanted_can_be_written_as_json():
    json.dumps(next_step(work()).spec, allow_nan=False)


def test_while_jobs_are_out_there_is_nothing_to_do():
    out = StageOutcome(Stage.COLLECT, 0, finished=False, failed=False, jobs=(JobOutcome(0, JobState.RUNNING, None),))
    assert next_step(work(stages=(out,))) is None


def test_the_fit_gets_what_was_collected_in_the_order_of_the_partition(batch):
    done = collected(work(), batch)
    stage = done.stages[0]
    shuffled = replace(done, stages=(replace(stage, jobs=stage.jobs[::-1]),))
    step = next_step(shuffled)
    assert (step.stage, len(step.jobs)) == (Stage.FIT, 1)
    assert step.spec["collected"] == [str(job.folder / "outputs/collected.npz") for job in stage.jobs]
    assert step.spec["iovs"] == [[[26, 180], None]]


def test_a_fit_that_is_content_ends_the_attempt_with_its_constants(batch):
    done = collected(work(), batch, ["Gain"])
    done = batch.end(done, next_step(done), fit_document("ok", payload(), names_read=["Mask"]))
    ended = next_step(done)
    assert (ended.outcome, ended.converged) == (Outcome.CONSTANTS, True)
    assert [(p.name, p.first, p.last, p.identity) for p in ended.payloads] == [("TimeOffset", RUN, OPEN, "id-0")]
    assert ended.payloads[0].path.is_file()
    assert ended.names_read == {"Gain", "Mask"}


def test_too_little_data_is_nothing_to_publish_and_says_how_much_there_was(batch):
    done = collected(work(), batch, ["Gain"])
    done = batch.end(done, next_step(done), fit_document("not_enough_data", message="Only 3 hits were found."))
    assert next_step(done) == Ended(Outcome.NOTHING, "Only 3 hits were found.", names_read=frozenset({"Gain"}))


def test_constants_for_some_of_the_runs_come_with_the_others_and_the_reason(batch):
    done = collected(work(), batch)
    poor = [[26, 182], None]
    fitted = fit_document("ok", payload(last=[26, 181]), message="Too few data for e26r182.", without_data=[poor])
    ended = next_step(batch.end(done, next_step(done), fitted))
    assert (ended.outcome, ended.message) == (Outcome.CONSTANTS, "Too few data for e26r182.")
    assert ended.without_data == (IoV.from_json(poor),)


def test_what_is_not_converged_still_says_where_there_were_too_few_data(batch):
    done = collected(work(traits={"max_iterations": 1}), batch)
    fitted = fit_document("iterate", payload(last=[26, 181]), message="Too few data for e26r182.")
    ended = next_step(batch.end(done, next_step(done), fitted))
    assert ended.message == "Not converged after 1 iterations. Too few data for e26r182."


def iterate(batch: Batch, iterations: int) -> Work:
    done = work()
    for iteration in range(iterations):
        done = collected(done, batch)
        done = batch.end(done, next_step(done), fit_document("iterate", payload("Gain", identity=f"gain-{iteration}!")))
    return done


def test_the_next_iteration_reads_the_constants_that_were_fed_back(batch):
    step = next_step(iterate(batch, 1))
    assert (step.stage, step.iteration) == (Stage.COLLECT, 1)
    assert [(c["identity"], c["first"], c["last"]) for c in step.spec["conditions"]] == [
        ("gain-0", [26, 170], [26, 179]),
        ("gain-0!", [26, 180], None),
    ]


def test_jobs_and_errors_are_numbered_as_people_read_them_everywhere(batch):
    again = collected(iterate(batch, 1), batch)
    step = next_step(again)
    assert [job.label for job in step.jobs] == ["fit, iteration 2"]
    failed = StageOutcome(
        Stage.FIT, 1, finished=True, failed=True, jobs=(JobOutcome(0, JobState.FAILED, None, "ValueError: boom"),)
    )
    ended = next_step(replace(again, stages=(*again.stages, failed)))
    assert ended.message == "1 of 1 fit jobs failed. See fit, iteration 2, job 1: ValueError: boom"


def test_a_later_iteration_replaces_what_an_earlier_one_fed_back(batch):
    step = next_step(iterate(batch, 2))
    assert [c["identity"] for c in step.spec["conditions"]] == ["gain-0", "gain-1!"]


def test_iterations_that_end_unconverged_give_the_last_constants_and_say_so(batch):
    ended = next_step(iterate(batch, 3))
    assert (ended.outcome, ended.converged) == (Outcome.CONSTANTS, False)
    assert [p.identity for p in ended.payloads] == ["gain-2!"]
    assert "3 iterations" in ended.message


def test_a_new_measurement_compares_with_the_constants_that_held_before_the_iterations(batch):
    done = iterate(batch, 3)
    new = Constants("Gain", RUN, OPEN, "/store/new.root", "new")
    step = measure_step(done, [new])
    last_collect = next(s for s in done.stages if (s.stage, s.iteration) == (Stage.COLLECT, 2))
    assert (step.stage, step.iteration, len(step.jobs)) == (Stage.MEASURE, 2, 1)
    assert [c["identity"] for c in step.spec["conditions"]] == ["gain-0"]
    assert step.spec["payloads"] == [new.to_json()]
    assert step.spec["collected"] == [str(job.folder / "outputs/collected.npz") for job in last_collect.jobs]


def test_measurements_are_what_the_measure_job_wrote(batch):
    group = measure_step(work(), [])
    document = {"measurements": [{"name": "width"}], "limits": {"width": {"high": 2}}, "names_read": ["Gain"]}
    (stage,) = batch.end(work(), group, document).stages
    found = measurements(stage)
    assert (list(found.measurements), found.limits) == ([{"name": "width"}], {"width": {"high": 2}})
    assert found.names_read == {"Gain"}


def test_by_boundaries_each_piece_is_fitted_and_none_spans_experiments(batch):
    files = tuple(
        InputFile(f"/{e}/{r}", "bhabha", "bhabha", ExpRun(e, r).number, "", 1, 1)
        for e, r in [(26, 5), (26, 9), (28, 1)]
    )
    by_boundaries = work(
        traits={"strategy": "boundaries"},
        config={"payload_boundaries": [[26, 7]]},
        files=files,
        requested=IoV(ExpRun(26, 1), ExpRun(28, 50)),
    )
    step = next_step(collected(by_boundaries, batch))
    end_26 = 2**32 - 1
    assert step.spec["iovs"] == [[[26, 1], [26, 6]], [[26, 7], [27, end_26]], [[28, 0], [28, 50]]]


def test_a_configuration_without_its_boundaries_fails_with_what_to_write(batch):
    ended = next_step(collected(work(traits={"strategy": "boundaries"}), batch))
    assert ended.outcome is Outcome.FAILED
    assert "payload_boundaries" in ended.message


def test_a_production_ends_with_its_files(batch):
    production = work(kind=Kind.PRODUCE)
    step = next_step(production)
    assert (step.stage, len(step.jobs)) == (Stage.PRODUCE, 2)
    entry = {"file": "a.root", "data_name": "hadron", "exp": 26, "run": 180, "n_events": 7}
    files = [{"files": [entry], "names_read": ["Gain"]}, {"files": [entry | {"run": 182}], "names_read": []}]
    ended = next_step(batch.end(production, step, *files))
    assert ended.outcome is Outcome.FILES
    assert [(f.data_name, f.exprun, f.n_events) for f in ended.files] == [("hadron", RUN, 7), ("hadron", RUN + 2, 7)]
    assert ended.names_read == {"Gain"}


def test_a_production_that_reads_a_file_under_two_data_names_fails_with_a_way_on():
    one = InputFile("/data/0.root", "all", "bhabha_calib", RUN, "c" * 64, 10, 100)
    both = work(kind=Kind.PRODUCE, files=(one, replace(one, data_name="bhabha")))
    ended = next_step(both)
    assert ended.outcome is Outcome.FAILED
    assert "/data/0.root is read under 2 data names" in ended.message
    assert "submit again" in ended.message
    step = next_step(replace(both, kind=Kind.CALIBRATE))
    assert [file["data_name"] for file in step.jobs[0].spec["inputs"]] == ["all", "bhabha"]


def test_without_input_files_the_attempt_fails_with_a_way_on():
    ended = next_step(work(files=()))
    assert ended.outcome is Outcome.FAILED
    assert "no input file" in ended.message
    assert "submit again" in ended.message


def test_a_failed_stage_fails_the_attempt_with_the_first_error():
    jobs = (
        JobOutcome(2, JobState.FAILED, None, "later"),
        JobOutcome(0, JobState.DONE, None),
        JobOutcome(1, JobState.FAILED, None, "ZeroDivisionError: division by zero"),
    )
    stage = StageOutcome(Stage.COLLECT, 0, finished=True, failed=True, jobs=jobs)
    ended = next_step(work(stages=(stage,)))
    assert ended == Ended(
        Outcome.FAILED, "2 of 3 collect jobs failed. See collect, job 2: ZeroDivisionError: division by zero"
    )


@pytest.mark.parametrize(
    "document",
    [
        {"outcome": "ok", "payloads": [payload()]},
        {"outcome": "splendid", "payloads": [], "names_read": []},
        {"outcome": "ok", "payloads": [{"name": "TimeOffset"}], "names_read": []},
        {"outcome": "ok", "payloads": [payload(first=(26,))], "names_read": []},
        fit_document("ok"),
    ],
    ids=["no names_read", "unknown outcome", "payload without file", "half a run", "no payload"],
)
def test_a_fit_that_leaves_nonsense_behind_fails_the_attempt(batch, document):
    done = collected(work(), batch)
    ended = next_step(batch.end(done, next_step(done), document))
    assert ended.outcome is Outcome.FAILED
    assert ended.message


def test_a_result_that_vanished_or_was_cut_fails_the_attempt_and_names_the_file(batch):
    done = collected(work(), batch)
    done = batch.end(done, next_step(done), fit_document("ok", payload()))
    result = done.stages[-1].jobs[0].folder / "outputs/result.json"
    result.write_text(result.read_text()[:-10])
    assert "result.json" in next_step(done).message
    result.unlink()
    assert "result.json" in next_step(done).message


def test_a_copy_has_no_jobs():
    with pytest.raises(ValueError, match="copy"):
        next_step(work(kind=Kind.COPY))
