"""How an attempt's input is divided into jobs, and how new constants are laid over old ones."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby

from b2cal.core.iov import ExpRun, gaps

from .work import Constants, InputFile


def partition(files: Iterable[InputFile], bytes_per_job: int) -> list[list[InputFile]]:
    """Divide files into jobs of whole, consecutive runs, each as large as `bytes_per_job` allows.

    A run that is larger than that has a job of its own. Over all jobs the files come in the order of run, data name
    and path, in whatever order they are given.
    """
    ordered = sorted(files, key=lambda file: (file.exprun, file.data_name, file.path))
    jobs: list[list[InputFile]] = []
    free_bytes = 0
    for _, group in groupby(ordered, key=lambda file: file.exprun):
        run = list(group)
        size = sum(file.size_bytes for file in run)
        if size > free_bytes or not jobs:
            jobs.append([])
            free_bytes = bytes_per_job
        jobs[-1].extend(run)
        free_bytes -= size
    return jobs


def label(files: Sequence[InputFile]) -> str:
    """What a job works on, for people: `run e26r180` or `runs e26r180 to e26r190`."""
    first, last = ExpRun.from_number(files[0].exprun), ExpRun.from_number(files[-1].exprun)
    return f"run {first}" if first == last else f"runs {first} to {last}"


def overlay(base: Iterable[Constants], new: Sequence[Constants]) -> list[Constants]:
    """The constants that hold when `new` ones are laid over the `base`: where both are valid, the new ones count."""
    kept = [
        replace(old, first=piece.first.number, last=piece.last_number)
        for old in base
        for piece in gaps([above.iov for above in new if above.name == old.name], within=old.iov)
    ]
    return sorted([*kept, *new], key=lambda constants: (constants.name, constants.first))
