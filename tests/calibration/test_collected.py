"""Sums of collected arrays: exact, in one order, and readable after any division into jobs."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from b2cal.calibration import NotEnoughData, UnreadableInput
from b2cal.calibration.collected import InvalidCollected, add, as_arrays, as_collected, read, total, write
from b2cal.calibration.events import InputFile
from b2cal.core.iov import ExpRun

numbers = st.floats(-1e9, 1e9).map(np.float64)


def source(number, data_name="cosmic"):
    run = ExpRun(26, number)
    return InputFile(Path(f"{data_name}_{number}.root"), data_name, data_name, run, f"{data_name}{number}")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(st.lists(numbers, min_size=3, max_size=3), min_size=1, max_size=6), st.randoms())
def test_the_sum_is_the_same_bit_for_bit_however_files_are_spread_over_jobs(tmp_path, rows, random):
    sums = {source(number): as_arrays(np.array(row)) for number, row in enumerate(rows)}
    jobs = [{} for _ in range(3)]
    for file in random.sample(list(sums), len(sums)):
        random.choice(jobs)[file] = sums[file]
    paths = [tmp_path / f"{number}.npz" for number in range(3)]
    for path, job in zip(paths, jobs, strict=True):
        write(path, job)
    random.shuffle(paths)
    expected = np.array(rows[0])
    for row in rows[1:]:
        expected = expected + np.array(row)
    assert total(read(paths)).tobytes() == expected.tobytes()


def test_a_run_with_several_files_may_be_divided(tmp_path):
    files = [source(2, "hadron"), source(2, "bhabha"), source(1, "hadron")]
    for number, file in enumerate(files):
        write(tmp_path / f"{number}.npz", {file: as_arrays({"n": np.array(10**number)})})
    parts = read(tmp_path / f"{number}.npz" for number in range(3))
    assert [(part.run.run, part.data_name) for part in parts] == [(1, "hadron"), (2, "bhabha"), (2, "hadron")]
    assert total(parts) == {"n": 111}
    assert total(part for part in parts if part.run.run == 2) == {"n": 11}


def test_results_come_back_in_the_form_in_which_they_were_returned():
    for collected in (np.arange(3), {"a": np.arange(2), "b/c.npy": np.array(1.5)}, {}):
        back = as_collected(add(as_arrays(collected), {}))
        np.testing.assert_equal(back, collected)


def test_a_key_that_one_chunk_lacks_counts_as_zero_there(tmp_path):
    both = add(as_arrays({"a": np.ones(2)}), as_arrays({"a": np.ones(2), "b": np.ones(1)}))
    write(tmp_path / "sums.npz", {source(1): both})
    np.testing.assert_equal(total(read([tmp_path / "sums.npz"])), {"a": np.full(2, 2.0), "b": np.ones(1)})


def test_an_array_that_the_script_uses_again_is_not_counted_twice():
    histogram = np.zeros(2)
    summed = {}
    for chunk in (1, 20, 300):
        histogram[:] = chunk
        summed = add(summed, as_arrays(histogram))
    assert as_collected(summed).tolist() == [321, 321]


@pytest.mark.parametrize("returned", [None, "text", np.array(["a"]), {"a": None}, {"a": object()}])
def test_what_cannot_be_added_is_refused(returned):
    with pytest.raises(InvalidCollected, match="collect returned"):
        as_arrays(returned)


def test_arrays_of_different_shape_are_not_stretched_to_fit():
    with pytest.raises(InvalidCollected, match=r"shape \(3,\) and \(1,\) for 'a'"):
        add(as_arrays({"a": np.ones(3)}), as_arrays({"a": np.ones(1)}))


def test_no_events_at_all_are_not_enough():
    with pytest.raises(NotEnoughData):
        total([])


def test_a_file_that_was_collected_twice_is_noticed(tmp_path):
    for name in ("1.npz", "2.npz"):
        write(tmp_path / name, {source(1): as_arrays(np.ones(1))})
    with pytest.raises(InvalidCollected, match=r"cosmic_1\.root of e26r1 was collected twice"):
        read([tmp_path / "1.npz", tmp_path / "2.npz"])


def test_a_damaged_or_missing_result_is_named(tmp_path):
    path = tmp_path / "collected.npz"
    with pytest.raises(UnreadableInput, match=r"collected\.npz cannot be read: it does not exist"):
        read([path])
    write(path, {source(1): as_arrays(np.arange(1000.0))})
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadableInput, match=r"collected\.npz cannot be read"):
        total(read([path]))
    path.write_bytes(content[:500] + b"x" + content[501:])
    with pytest.raises(UnreadableInput, match=r"collected\.npz cannot be read"):
        total(read([path]))
