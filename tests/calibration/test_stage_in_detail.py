"""Stages in detail: what can go wrong says what it was, and leaves nothing half-written."""

import json
import os

import numpy as np
import pytest

from b2cal.calibration import InvalidPayload, MissingBranch, MissingConstants
from b2cal.calibration.collected import InvalidCollected, read, total
from b2cal.calibration.production import InvalidEvents
from b2cal.calibration.script import InvalidScript
from b2cal.core.iov import ExpRun, IoV, split

RUN = ExpRun(26, 1)
RANGE = IoV(RUN, None)

SCRIPT = """
import numpy as np
from b2cal.calibration import Calibration, CalibrationSettings, Iterate, Measurement, NotEnoughData, Payload

settings = CalibrationSettings("Mean", "me", "Mean of x", ["raw"], ["cosmic"])


class Mean(Calibration):
    branches = ["x"]

    def collect(self, events, conditions, config):
        return {collect}

    def fit(self, collected, conditions, config, iov):
        {fit}

    def measure(self, payloads, collected, conditions, config):
        return {measure}
"""
PRODUCTION = """
import numpy as np
from b2cal.calibration import CalibrationSettings, Production

settings = CalibrationSettings("cDST", "me", "Copy of x", ["raw"], ["cosmic"])


class Cdst(Production):
    branches = ["x"]

    def produce(self, events, conditions, config):
        return {produce}
"""


def write_script(node, **parts):
    parts = {
        "collect": "events['x'].sum()",
        "fit": "return Payload('Mean', iov, {'x': collected})",
        "measure": "()",
    } | parts
    text = SCRIPT
    for name, part in parts.items():
        text = text.replace(f"{{{name}}}", part)
    node.script(text)


@pytest.fixture
def collected(node, here):
    """A result of `collect`."""
    write_script(node)
    folder = node.job("collect", [node.raw(RUN, {"x": np.arange(10.0)})])
    assert here(folder) == 0
    return [str(folder / "outputs" / "collected.npz")]


def fit(node, here, collected, code, **more):
    write_script(node, fit=code)
    folder = node.job("fit", collected=collected, **{"iovs": [RANGE.to_json()]} | more)
    code = here(folder)
    return code, json.loads((folder / "outputs" / "result.json").read_text())


@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        ("return None", InvalidPayload, "fit of 'Mean' returned None"),
        ("return []", InvalidPayload, r"fit of 'Mean' returned \[\]"),
        ("return Iterate([])", InvalidPayload, r"fit of 'Mean' returned \[\]"),
        ("return [5]", InvalidPayload, r"fit of 'Mean' returned \[5\]"),
        ("return Payload('Mean', iov, {'x': np.nan})", InvalidPayload, r"Mean, value 'x'\[\] is nan"),
        ("return Payload('Other', iov, {'x': 1})", InvalidPayload, "made a payload 'Other', which the script does not"),
        ("return [Payload('Mean', iov, {'x': 1})] * 2", InvalidPayload, "made Mean more than once for e26r1 - open"),
        ("return Payload('Mean', type(iov)(type(iov.first)(0, 0), None), {'x': 1})", InvalidPayload, "asked for e26r1"),
        ("return conditions['Mask']", MissingConstants, "no constants 'Mask' for e26r1"),
        ("import sys; sys.exit(0)", RuntimeError, r"called sys.exit\(0\) and gave no result"),
        ("return 1 / 0", ZeroDivisionError, "division by zero"),
    ],
)
def test_a_fit_that_does_not_give_its_payloads_is_refused(node, here, collected, code, error, message):
    with pytest.raises(error, match=message):
        fit(node, here, collected, code)
    assert not list((node.folder / "job2" / "outputs").rglob("*.json"))


def test_a_hint_of_b2cal_stands_below_the_traceback(node, here, collected):
    with pytest.raises(MissingConstants) as missing:
        fit(node, here, collected, "return conditions['Mask']")
    assert missing.value.__notes__ == [f"Hint: {missing.value.hint}"]


def test_payloads_may_be_several_and_divide_the_runs(node, here, collected):
    code = (
        "a, b = ExpRun(26, 1), ExpRun(26, 2); return [Payload('Mean', i, {'x': 1}) for i in (IoV(a, a), IoV(b, None))]"
    )
    write = "from b2cal.core.iov import ExpRun, IoV; " + code
    exit_code, result = fit(node, here, collected, write)
    assert exit_code == 0
    assert [(entry["first"], entry["last"]) for entry in result["payloads"]] == [([26, 1], [26, 1]), ([26, 2], None)]


def test_a_file_without_events_is_not_collected(node, here):
    write_script(node, collect="np.array(100 // events.size)")
    folder = node.job("collect", [node.raw(RUN, {"x": np.arange(0.0)}), node.raw(ExpRun(26, 2), {"x": np.arange(4.0)})])
    assert here(folder) == 0
    assert total(read([folder / "outputs" / "collected.npz"])) == 25


def test_no_data_at_all_are_not_enough(node, here, collected):
    exit_code, result = fit(node, here, [], "return Payload('Mean', iov, {'x': 1})")
    assert (exit_code, result["outcome"]) == (0, "not_enough_data")
    too_few = "where the constants before stay valid: Only 0 events were found, 1 are needed."
    assert result["message"] == f"Too few data for e26r1 - open, {too_few}"


def test_an_experiment_without_enough_data_does_not_stop_the_others(node, here, collected):
    iovs = [IoV(ExpRun(25, 0), ExpRun(25, 9)).to_json(), RANGE.to_json()]
    exit_code, result = fit(node, here, collected, "return Payload('Mean', iov, {'x': 1})", iovs=iovs)
    assert (exit_code, result["outcome"], len(result["payloads"])) == (0, "ok", 1)
    too_few = "where the constants before stay valid: Only 0 events were found, 1 are needed."
    assert result["message"] == f"Too few data for e25r0 - e25r9, {too_few}"
    assert result["without_data"] == iovs[:1]


def test_an_interval_with_too_few_data_is_joined_with_the_next(node, here):
    write_script(node, collect="np.array(events.size)")
    inputs = [node.raw(ExpRun(26, run), {"x": np.ones(n)}) for run, n in ((1, 900), (2, 100), (3, 900))]
    folder = node.job("collect", inputs)
    here(folder)
    paths = [str(folder / "outputs" / "collected.npz")]
    iovs = split(RANGE, [ExpRun(26, 2), ExpRun(26, 3)])
    code = "if collected < config['min']: raise NotEnoughData(config['min'], collected)\n"
    code += "        return Payload('Mean', iov, {'n': collected})"

    def fitted(minimum):
        return fit(node, here, paths, code, config={"min": minimum}, iovs=[iov.to_json() for iov in iovs])[1]

    assert [(entry["first"], entry["last"]) for entry in fitted(500)["payloads"]] == [
        ([26, 1], [26, 1]),
        ([26, 2], None),
    ]
    assert fitted(5000) == {
        "outcome": "not_enough_data",
        "message": "Too few data for e26r1 - open, where the constants before stay valid: "
        "Only 1900 events were found, 5000 are needed.",
        "payloads": [],
        "without_data": [RANGE.to_json()],
        "names_read": [],
    }


def test_one_call_cannot_spoil_the_configuration_of_the_next(node, here, collected):
    iovs = [IoV(RUN, RUN).to_json(), IoV(ExpRun(26, 2), None).to_json()]
    write_script(node)
    other = node.job("collect", [node.raw(ExpRun(26, 2), {"x": np.arange(10.0)})])
    here(other)
    code = "config['x'].append(1); return Payload('Mean', iov, {'x': config['x']})"
    paths = [*collected, str(other / "outputs" / "collected.npz")]
    _, result = fit(node, here, paths, code, iovs=iovs, config={"x": []})
    assert len({entry["identity"] for entry in result["payloads"]}) == 1
    assert len(result["payloads"]) == 2


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        ("None", InvalidCollected, "collect returned NoneType"),
        ("events['x'][:len(events['x']) // 50_000 * 3 + 1]", InvalidCollected, r"shape \(4,\) and \(1,\)"),
        ("conditions['Mask']", MissingConstants, "no constants 'Mask' for e26r1"),
        ("events['y']", KeyError, "y"),
    ],
)
def test_a_collect_that_does_not_give_sums_is_refused_with_the_file_that_was_read(node, here, answer, error, message):
    write_script(node, collect=answer)
    file = node.raw(RUN, {"x": np.arange(50_001.0)})
    with pytest.raises(error, match=message) as refused:
        here(node.job("collect", [file]))
    assert f"While reading {file.path}." in refused.value.__notes__


def test_a_missing_branch_names_branch_file_and_those_that_are_there(node, here):
    write_script(node)
    file = node.raw(RUN, {"y": np.arange(3.0), "z": np.arange(3.0)})
    with pytest.raises(MissingBranch, match=f"{file.path} has no branch x") as missing:
        here(node.job("collect", [file]))
    assert missing.value.__notes__ == ["Hint: It has y, z."]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("None", "returned NoneType"),
        ("{}", "returned dict"),
        ("{'x': [1, 2]}", "returned dict"),
        ("{'x': np.array(1)}", r"different length: x \(\)"),
        ("{'x': events['x'], 'y': events['x'][1:]}", r"different length: x \(50000,\), y \(49999,\)"),
        ("{'x' if events.size > 1 else 'y': events['x']}", "the columns y float64, but x float64 before"),
        ("{'x': events['x'].astype('f4' if events.size > 1 else 'f8')}", "x float64, but x float32 before"),
    ],
)
def test_a_production_that_gives_no_table_leaves_no_file(node, here, answer, message):
    node.script(PRODUCTION.replace("{produce}", answer))
    folder = node.job("produce", [node.raw(RUN, {"x": np.arange(50_001.0)})])
    with pytest.raises(InvalidEvents, match=message):
        here(folder)
    assert list((folder / "outputs" / "files").iterdir()) == []


def test_a_kind_that_does_not_fit_the_script_is_named(node, here):
    write_script(node)
    with pytest.raises(InvalidScript, match="script of 'Mean' has no subclass of Production"):
        here(node.job("produce", [node.raw(RUN, {"x": np.arange(3.0)})]))
    node.script(PRODUCTION)
    with pytest.raises(InvalidScript, match="script of 'cDST' has no subclass of Calibration"):
        here(node.job("collect", [node.raw(RUN, {"x": np.arange(3.0)})]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ([], "cannot be understood"),
        ({"stage": "dance"}, "'dance' is not a valid Stage"),
        ({"stage": "fit"}, "gives the stage fit nothing to do"),
        ({"stage": "measure"}, "gives the stage measure nothing to do"),
        ({"inputs": [{"path": "x"}]}, "does not say"),
        ({"conditions": [{"name": "x", "first": [1], "last": None}]}, "cannot be understood"),
        ({"iovs": [[[5, 0], [4, 0]]]}, "before its start"),
        ({"inputs": "twice"}, "gives an input file twice"),
        ({"stage": "produce", "inputs": "twice"}, "gives an input file twice"),
    ],
)
def test_a_job_that_makes_no_sense_is_refused_before_anything_is_done(node, here, capsys, change, message):
    folder = node.job("collect", [node.raw(RUN, {"x": np.arange(3.0)})])
    job = folder / "job.json"
    if isinstance(change, list):
        job.write_text(json.dumps(change))
    else:
        document = json.loads(job.read_text())
        if change.get("inputs") == "twice":
            change = change | {"inputs": document["inputs"] * 2}
        job.write_text(json.dumps(document | change))
    assert here(folder) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "outputs").exists()


@pytest.mark.parametrize("content", ["", "{", "\0" * 64])
def test_a_job_whose_document_is_damaged_may_be_tried_again(node, here, capsys, content):
    """A power cut leaves files empty or full of zeros; the next try gets a new folder."""
    folder = node.job("collect", [node.raw(RUN, {"x": np.arange(3.0)})])
    (folder / "job.json").write_text(content)
    assert here(folder) == os.EX_IOERR
    assert "The input job.json cannot be read" in capsys.readouterr().err
    (folder / "job.json").unlink()
    assert here(folder) == os.EX_IOERR
    assert "No such file" in capsys.readouterr().err
    assert not (folder / "outputs").exists()


def test_a_changed_input_or_condition_is_no_fault_of_the_script(node, here, capsys):
    write_script(node)
    file = node.raw(RUN, {"x": np.arange(3.0)})
    folder = node.job("collect", [file])
    node.raw(RUN, {"x": np.arange(4.0)})
    assert here(folder) == os.EX_IOERR
    assert f"Error: The input {file.path} cannot be read: its SHA-256 is" in capsys.readouterr().err


def test_a_full_disk_is_no_fault_of_the_script(node, here, capsys):
    """/dev/full is always full; what writes there gets ENOSPC, as on a full disk."""
    write_script(node, collect="__import__('os').write(__import__('os').open('/dev/full', 1), b'x')")
    assert here(node.job("collect", [node.raw(RUN, {"x": np.arange(3.0)})])) == os.EX_CANTCREAT
    assert "No space left on device" in capsys.readouterr().err
    write_script(node)
    folder = node.job("collect", [node.raw(RUN, {"x": np.arange(3.0)})])
    (folder / "outputs" / "collected.npz").mkdir(parents=True)
    assert here(folder) == os.EX_CANTCREAT
    assert "collected.npz" in capsys.readouterr().err
    assert [path.name for path in (folder / "outputs").iterdir()] == ["collected.npz"]
