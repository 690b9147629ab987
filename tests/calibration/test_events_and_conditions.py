"""What a script sees: chunks of events, constants of a run, and clear words when something is missing."""

import awkward
import numpy as np
import pytest
import uproot

from b2cal.calibration import Conditions, MissingBranch, MissingConstants, Payload
from b2cal.calibration.conditions import Constants
from b2cal.calibration.doors import Doors
from b2cal.calibration.events import CHUNK_EVENTS, InputFile, chunks
from b2cal.calibration.inputs import UnreadableInput, at_hand
from b2cal.core.checksums import sha256_file
from b2cal.core.iov import ExpRun, IoV
from tests.calibration.node import write_raw

RUN = ExpRun(26, 180)
N_EVENTS = 2 * CHUNK_EVENTS + 5


@pytest.fixture
def file(tmp_path):
    number = np.arange(N_EVENTS)
    return write_raw(tmp_path, RUN, {"number": number, "hits": np.stack([number, number], axis=1).astype("f4")})


def read(file, branches=("number",), tree="events", seed="5eed"):
    with at_hand(file.path, file.sha256, Doors()) as path:
        return list(chunks(file, path, tree, branches, seed))


def test_a_file_is_read_in_chunks_of_fixed_size_and_in_order(file):
    found = read(file, ["number", "hits"])
    assert [events.size for events in found] == [CHUNK_EVENTS, CHUNK_EVENTS, 5]
    assert np.concatenate([events["number"] for events in found]).tolist() == list(range(N_EVENTS))
    assert found[2]["hits"].shape == (5, 2)
    assert {(events.run, events.data_name) for events in found} == {(RUN, "cosmic")}
    assert dict(found[2]).keys() == {"number", "hits"}


def test_random_numbers_belong_to_seed_file_and_chunk_wherever_and_whenever_it_was_written(file, tmp_path):
    def draws(file, seed="5eed"):
        return [events.rng.integers(2**60) for events in read(file, seed=seed)]

    before = draws(file)
    (tmp_path / "elsewhere").mkdir()
    again = write_raw(tmp_path / "elsewhere", RUN, {"number": np.arange(N_EVENTS)})
    assert again.sha256 != file.sha256
    assert draws(again) == before
    others = [
        write_raw(tmp_path, ExpRun(26, 181), {"number": np.arange(3)}),
        write_raw(tmp_path, RUN, {"number": np.arange(3)}, data_name="beam"),
    ]
    assert len({*before, *draws(file, seed="other"), *draws(others[0]), *draws(others[1])}) == 3 + 3 + 1 + 1


def test_an_empty_file_is_one_empty_chunk(tmp_path):
    (events,) = read(write_raw(tmp_path, RUN, {"number": np.arange(0)}))
    assert (events.size, events["number"].shape) == (0, (0,))


def test_branches_may_differ_between_data_names(file):
    (events, *_) = read(file, {"cosmic": ["hits"], "beam": ["nothing"]})
    assert list(events) == ["hits"]
    with pytest.raises(MissingBranch, match="nothing about the data name 'cosmic'"):
        read(file, {"beam": ["hits"]})


def test_a_missing_branch_is_named_with_the_file_and_with_those_that_are_there(file):
    with pytest.raises(MissingBranch) as missing:
        read(file, ["number", "energy", "time"])
    assert f"{file.path} has no branch energy, time in its tree 'events'." in str(missing.value)
    assert missing.value.hint == "It has hits, number."


def test_a_missing_tree_is_named_with_those_that_are_there(file):
    with pytest.raises(MissingBranch, match="has no tree 'tree'") as missing:
        read(file, tree="tree")
    assert missing.value.hint == "It has events."


def test_a_branch_without_a_fixed_number_of_values_is_refused(tmp_path):
    path = tmp_path / "jagged.root"
    with uproot.recreate(path) as root:
        root.mktree("events", {"hits": "var * float64"}).extend({"hits": awkward.Array([[1.0], [2.0, 3.0]])})
    with pytest.raises(MissingBranch, match="no fixed number of values"):
        read(InputFile(path, "cosmic", "cosmic", RUN, sha256_file(path)), ["hits"])


@pytest.mark.parametrize("length", [0, 10, 300, -1000, -1])
def test_a_truncated_file_is_named_even_if_it_was_frozen_truncated(file, length):
    file.path.write_bytes(file.path.read_bytes()[:length])
    with pytest.raises(UnreadableInput, match=str(file.path)):
        read(InputFile(file.path, file.data_name, file.stream, file.run, sha256_file(file.path)), ["number", "hits"])


def test_a_file_that_was_changed_after_it_was_frozen_is_not_read(file, tmp_path):
    write_raw(tmp_path, RUN, {"number": np.arange(3)})
    with pytest.raises(UnreadableInput, match="was frozen for this attempt"):
        read(file)


def constants(folder, name, iov, **values):
    payload, path = Payload(name, iov, values), folder / f"{name}{iov.first}.root"
    payload.write(path)
    return Constants(name, iov, path, payload.identity)


@pytest.fixture
def conditions(tmp_path):
    base = constants(tmp_path, "Gain", IoV(ExpRun(0, 0), None), gain=1.0)
    new = constants(tmp_path, "Gain", IoV(ExpRun(26, 100), ExpRun(26, 200)), gain=2.0)
    return Conditions([base, new], RUN)


def test_the_last_given_constants_that_are_valid_for_the_run_are_read(conditions):
    assert conditions["Gain"]["gain"] == 2
    assert conditions.at(ExpRun(26, 201))["Gain"]["gain"] == 1
    assert conditions.payload("Gain").iov == IoV(ExpRun(26, 100), ExpRun(26, 200))


def test_every_name_that_was_read_is_recorded_at_whatever_run(conditions):
    conditions.at(ExpRun(3, 1))["Gain"]
    with pytest.raises(MissingConstants):
        conditions.at(ExpRun(3, 2))["Mask"]
    assert conditions.names_read == {"Gain", "Mask"}


def test_missing_constants_are_named_with_the_run(conditions):
    with pytest.raises(KeyError, match="There are no constants 'Mask' for e26r180") as missing:
        conditions["Mask"]
    assert "depends_on" in missing.value.hint
    assert str(missing.value).startswith("There are")


def test_constants_are_read_once_for_all_runs(conditions):
    assert conditions.at(ExpRun(26, 101))["Gain"] is conditions.at(ExpRun(26, 102))["Gain"]


def test_constants_other_than_those_frozen_are_not_read(tmp_path, conditions):
    constants(tmp_path, "Gain", IoV(ExpRun(26, 100), None), gain=3.0)
    with pytest.raises(UnreadableInput, match="other constants than the Gain frozen"):
        conditions["Gain"]
