"""Files into jobs, and new constants over old ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b2cal.core.iov import OPEN
from b2cal.runtime import Constants, InputFile
from b2cal.runtime.partition import label, overlay, partition

E26 = 26 << 32

files = st.lists(
    st.builds(
        InputFile,
        path=st.uuids().map(str),
        data_name=st.sampled_from(["bhabha", "cosmic"]),
        stream=st.just("all"),
        exprun=st.integers(E26, E26 + 8),
        sha256=st.just("0" * 64),
        size_bytes=st.integers(0, 400),
        n_events=st.just(1),
    ),
    max_size=25,
)
bytes_per_job = st.integers(1, 1000)


@given(files, bytes_per_job)
def test_every_file_is_in_exactly_one_job_in_the_order_of_run_data_name_and_path(files, bytes_per_job):
    in_jobs = [file for job in partition(files, bytes_per_job) for file in job]
    assert in_jobs == sorted(files, key=lambda file: (file.exprun, file.data_name, file.path))


@given(files, bytes_per_job)
def test_a_run_is_never_divided_between_jobs(files, bytes_per_job):
    runs = [{file.exprun for file in job} for job in partition(files, bytes_per_job)]
    assert all(runs)
    assert sum(map(len, runs)) == len({file.exprun for file in files})


@given(files, bytes_per_job)
def test_a_job_is_larger_than_allowed_only_if_it_is_one_run_and_no_two_neighbours_would_fit_into_one(
    files, bytes_per_job
):
    jobs = partition(files, bytes_per_job)
    sizes = [sum(file.size_bytes for file in job) for job in jobs]
    assert all(
        size <= bytes_per_job or len({f.exprun for f in job}) == 1 for job, size in zip(jobs, sizes, strict=True)
    )
    next_runs = [sum(f.size_bytes for f in job if f.exprun == job[0].exprun) for job in jobs[1:]]
    assert all(size + following > bytes_per_job for size, following in zip(sizes, next_runs, strict=False))


@given(files, bytes_per_job, st.randoms())
def test_the_jobs_do_not_depend_on_the_order_in_which_the_files_are_given(files, bytes_per_job, random):
    shuffled = random.sample(files, len(files))
    assert partition(shuffled, bytes_per_job) == partition(files, bytes_per_job)


@pytest.mark.parametrize(("runs", "said"), [([3], "run e26r3"), ([3, 3, 5], "runs e26r3 to e26r5")])
def test_a_job_says_which_runs_it_works_on(runs, said):
    assert label([InputFile(f"{n}", "bhabha", "bhabha", E26 + run, "", 1, 1) for n, run in enumerate(runs)]) == said


def constants_of(identity: str):
    spans = st.tuples(st.integers(0, 30), st.integers(0, 12), st.booleans())
    return st.builds(
        lambda name, span: Constants(name, span[0], OPEN if span[2] else span[0] + span[1], identity, identity),
        st.sampled_from(["TimeOffset", "Gain"]),
        spans,
    )


def without_overlap(constants):
    kept: list[Constants] = []
    for one in constants:
        if all(one.name != other.name or one.iov.overlap(other.iov) is None for other in kept):
            kept.append(one)
    return kept


sets = st.tuples(
    st.lists(constants_of("old"), max_size=8).map(without_overlap),
    st.lists(constants_of("new"), max_size=4).map(without_overlap),
)


def valid_at(constants, name, run):
    return [one.identity for one in constants if one.name == name and one.first <= run <= one.last]


@given(sets)
def test_at_every_run_the_new_constants_count_where_they_are_valid_and_the_old_ones_elsewhere(both):
    old, new = both
    result = overlay(old, new)
    for name in ("TimeOffset", "Gain"):
        for run in [*range(-1, 45), OPEN]:
            assert valid_at(result, name, run) == (valid_at(new, name, run) or valid_at(old, name, run))


def test_without_new_constants_the_old_ones_stay():
    old = [Constants("Gain", 1, 5, "a", "a"), Constants("Gain", 6, OPEN, "b", "b")]
    assert overlay(old, []) == old
