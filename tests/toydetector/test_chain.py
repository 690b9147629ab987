import json
from pathlib import Path

import chain
import compare
import numpy as np
import pytest
from release.time_offsets import largest_step

from b2cal.calibration import Payload
from b2cal.calibration.script import load
from b2cal.validation import WORST_P

pytestmark = pytest.mark.processes

with chain.release_loaded():
    MADE_BY = {name: script for script in chain.ORDER for name in load(chain.RELEASE, script).produced_payloads}


@pytest.fixture(scope="session")
def rows(small_chain):
    truth, seed = compare.true_detector(small_chain.data)
    return compare.compare(truth, [chain.read(entry) for entry in small_chain.found()], small_chain.runs, seed)


def test_all_constants_agree_with_the_truth(rows):
    assert {row.payload for row in rows} == MADE_BY.keys()
    assert {row.payload: row.p for row in rows if not row.holds} == {}


def test_all_constants_are_far_nearer_to_the_truth_than_the_nominal_ones(rows):
    for row in rows:
        assert row.after < row.before / 3, row.payload


def test_resolutions_with_found_constants_are_nearly_those_with_true_ones(rows):
    for row in rows:
        assert row.resolution_after < row.resolution_before, row.payload
        assert row.resolution_after < 1.05 * row.resolution_true + 0.01, row.payload


def test_the_planted_jump_is_beyond_its_limit_and_nothing_else_is(small_chain):
    red = {script: chain.red(small_chain.results[script]) for script in chain.CALIBRATIONS}
    assert {script: names for script, names in red.items() if names} == {"time_offsets": {"step"}}
    step = np.array(small_chain.results["time_offsets"].measurements["step"]["values"], dtype=float)
    jump = json.loads((small_chain.data / "truth.json").read_text())["jump"]
    assert set(np.flatnonzero(np.abs(step) > 2)) <= set(jump["crystals"])
    assert np.mean(np.abs(step[jump["crystals"]]) > 2) > 0.9


def test_constants_are_read_only_of_scripts_upstream_and_of_the_script_itself(small_chain):
    for script in chain.ORDER[1:]:
        read = {MADE_BY[name] for name in small_chain.results[script].names_read}
        assert read <= {script, *chain.upstream(script)}, script


def test_the_files_of_the_cdst_carry_the_constants_of_all_steps_before(small_chain):
    assert small_chain.results["cdst"].names_read == {"Pedestals", "ChannelMask", "TimeOffsets", "LadderAlignment"}


def test_the_alignment_converges_in_its_second_iteration(small_chain):
    assert small_chain.results["alignment"].outcome == "ok"
    assert small_chain.results["alignment"].iterations == 2


def test_dead_and_hot_channels_have_no_constants_of_their_own(small_chain):
    (mask,) = (chain.read(entry) for entry in small_chain.results["channel_mask"].payloads)
    bad = mask.values["crystal"] != 0
    assert bad.sum() == 16
    for script in ("time_offsets", "energy_scale"):
        for entry in small_chain.results[script].payloads:
            assert not chain.read(entry).values["measured"][bad].any()


def test_constants_do_not_depend_on_how_files_are_spread_over_jobs(small_chain, tmp_path):
    other = chain.Chain(small_chain.data, tmp_path, small_chain.runs, files_per_job=1)
    other.results["pedestals"] = small_chain.results["pedestals"]
    other.run(["channel_mask", "time_offsets"])
    for script in ("channel_mask", "time_offsets"):
        one, two = (each.results[script].payloads for each in (small_chain, other))
        assert [entry["identity"] for entry in one] == [entry["identity"] for entry in two]


def test_a_step_is_measured_against_constants_of_before_but_not_against_nominal_ones(small_chain):
    (nominal,) = (chain.read(entry) for entry in small_chain.nominal if entry["name"] == "TimeOffsets")
    before, after = (chain.read(entry) for entry in small_chain.results["time_offsets"].payloads)
    assert np.isnan(largest_step([nominal, before])[0]).all()
    assert np.nanmax(np.abs(largest_step([before, after])[0])) > 3


def test_too_few_data_make_no_constants(small_chain):
    files = [file for file in small_chain.inputs("channel_mask") if file["run"] == 7]
    assert small_chain.result_of("channel_mask", files=files).outcome == "not_enough_data"


def test_the_command_ends_with_1_if_constants_disagree_with_the_truth(small_chain, tmp_path, capsys):
    found = tmp_path / "found.json"
    found.write_text(json.dumps(small_chain.found()))
    command = ["--data", str(small_chain.data), "--found", str(found)]
    assert compare.main(command) == 0
    assert "LadderAlignment" in capsys.readouterr().out

    entries = small_chain.results["time_offsets"].payloads
    for entry in entries:
        payload = chain.read(entry)
        late = {**payload.values, "offset": payload.values["offset"] + 0.05}
        Payload(payload.name, payload.iov, late, payload.covariance).write(tmp_path / Path(entry["path"]).name)
    others = [entry for entry in small_chain.found() if entry["name"] != "TimeOffsets"]
    found.write_text(json.dumps([*others, *({**entry, "path": Path(entry["path"]).name} for entry in entries)]))
    assert compare.main([*command, "--json"]) == 1
    rows = {row["payload"]: row for row in json.loads(capsys.readouterr().out)}
    assert {name for name, row in rows.items() if row["p"] <= WORST_P} == {"TimeOffsets"}
    assert rows["TimeOffsets"]["p"] == pytest.approx(0, abs=1e-6)


def test_the_command_ends_with_1_if_a_type_of_constants_was_not_found(small_chain, tmp_path, capsys):
    nominal = [entry for entry in small_chain.nominal if entry["name"] == "MomentumScale"]
    others = [entry for entry in small_chain.found() if entry["name"] != "MomentumScale"]
    found = tmp_path / "found.json"
    command = ["--data", str(small_chain.data), "--found", str(found)]
    for left in (others, [*others, *nominal]):
        found.write_text(json.dumps(left))
        assert compare.main(command) == 1
        (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("MomentumScale"))
        assert "no constants" in line


def test_constants_that_nobody_measured_are_not_compared(small_chain):
    truth, _ = compare.true_detector(small_chain.data)
    nominal = [chain.read(entry) for entry in small_chain.nominal if entry["name"] == "LadderAlignment"]
    assert compare.with_truth(nominal, truth, small_chain.runs) == []
