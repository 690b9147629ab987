import json

import numpy as np
import pytest
import simulate
import uproot
from chain import constants_in, read
from release import tracker
from release.alignment import UNSEEN
from truth import BAD_RUN, RUNS, make_truth

FEW = {"bhabha": 50, "dimuon": 50, "cosmic": 50, "random": 5}


def _columns(path):
    with uproot.open(path) as file:
        return file["events"].arrays(library="np")


def test_a_run_is_the_same_whichever_other_runs_are_simulated(tmp_path):
    simulate.simulate(tmp_path / "one", simulate.Profile(RUNS, FEW), 4, {}, [9])
    simulate.simulate(tmp_path / "more", simulate.Profile(RUNS, FEW), 4, {}, [8, 9])
    for stream in FEW:
        one, more = (_columns(tmp_path / name / "raw" / f"{stream}_e0026_r00009.root") for name in ("one", "more"))
        assert one.keys() == more.keys()
        assert all(np.array_equal(one[branch], more[branch]) for branch in one)


def test_another_seed_gives_another_detector_and_other_events():
    one, other = make_truth(1).constants, make_truth(2).constants
    assert all(not np.array_equal(one[name][key], other[name][key]) for name in one for key in one[name])


def test_runs_that_arrive_later_are_entered_into_the_same_registry(tmp_path):
    for runs in ([6, 7], [8], [7]):
        simulate.simulate(tmp_path, simulate.Profile(RUNS, FEW), 4, {}, runs)
    registry = json.loads((tmp_path / "raw" / "runs.json").read_text())
    assert [entry["run"] for entry in registry] == [6, 7, 8]
    assert registry[0]["expected"] == FEW
    assert registry[0]["started"] < registry[1]["started"]


def test_the_run_with_the_tripped_tracker_is_not_good(tmp_path):
    simulate.simulate(tmp_path, simulate.Profile(RUNS, FEW), 4, {}, [BAD_RUN - 1, BAD_RUN])
    registry = json.loads((tmp_path / "raw" / "runs.json").read_text())
    assert ["Good" in entry["attributes"]["Data Quality Tag"] for entry in registry] == [True, False]


def test_pedestals_of_the_subsystem_reach_beyond_the_runs_on_both_sides(tmp_path):
    simulate.simulate(tmp_path, simulate.Profile(RUNS, FEW), 4, {}, [6])
    iovs = [read(entry).iov for entry in constants_in(tmp_path / "subsystem")]
    assert iovs[0].first.exp < 26
    assert iovs[-1].last is None
    assert len(iovs) == 3


def test_the_planted_jump_is_told_with_the_truth(tmp_path):
    truth = simulate.simulate(tmp_path, simulate.Profile(RUNS, FEW), 4, {}, [8])
    jump = json.loads((tmp_path / "truth.json").read_text())["jump"]
    offset = truth.constants["TimeOffsets"]["offset"]
    step = offset[RUNS.index(8)] - offset[RUNS.index(7)]
    assert jump["first_run"] == [26, 8]
    assert np.flatnonzero(np.abs(step) > 2).tolist() == jump["crystals"]
    assert step[jump["crystals"]].mean() == pytest.approx(jump["ns"], abs=0.3)


def test_true_ladders_stand_in_the_frame_that_the_alignment_defines():
    shifts = make_truth(1).constants["LadderAlignment"]
    shift = np.concatenate([shifts["shift_u"], shifts["shift_z"]])
    np.testing.assert_allclose(UNSEEN @ shift, 0, atol=1e-15)
    assert shifts["shift_u"].std() == pytest.approx(200e-6, rel=0.3)


def test_hits_of_undisplaced_ladders_without_errors_lie_on_the_helix(monkeypatch):
    import raw_data

    monkeypatch.setattr(tracker, "SIGMA_U", 0.0)
    monkeypatch.setattr(tracker, "SIGMA_Z", 0.0)
    truth = make_truth(1)
    for values in (truth.constants["LadderAlignment"], truth.constants["ChannelMask"]):
        for each in values.values():
            each[:] = 0
    rng = np.random.default_rng(1)
    helix = np.array([[0.2, -1.5, 0.05, 0.1, 0.3], [-0.4, -1.2, -0.02, 0.0, 0.1]])
    hits = raw_data._hits(helix, tracker.COSMIC_PATH, truth, 6, rng)
    channel, u, z = (hits[name] for name in ("hit_channel", "hit_u", "hit_z"))
    phi, z, _, good = tracker.hit_positions(channel, u, z, truth.at(6))
    true_phi, true_z, _ = tracker.crossing(helix, *tracker.COSMIC_PATH)
    away = (phi - true_phi + np.pi) % (2 * np.pi) - np.pi
    assert good.sum() > 15
    np.testing.assert_allclose(away[good], 0, atol=1e-6)
    np.testing.assert_allclose(z[good], true_z[good], atol=1e-6)


@pytest.mark.parametrize("arguments", [["--plant", "nothing=2"], ["--runs", "0-3"], ["--runs", "9-8"], []])
def test_arguments_that_make_no_sense_are_refused_before_anything_is_written(tmp_path, arguments, capsys):
    out = ["--out", str(tmp_path / "data")] if arguments else []
    with pytest.raises(SystemExit, match="2"):
        simulate.main([*out, *arguments])
    assert "error:" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()
