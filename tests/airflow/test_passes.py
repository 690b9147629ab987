from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from threading import Barrier

from b2cal.airflow.passes import generation_at_start


def nobody_asks() -> int:
    raise AssertionError("the generation was asked for again")


def test_all_tasks_of_a_run_compare_with_what_its_first_task_found(home: Path) -> None:
    assert generation_at_start("bucket1", "run 1", lambda: 4) == 4
    assert generation_at_start("bucket1", "run 1", nobody_asks) == 4


def test_another_run_and_another_processing_begin_anew(home: Path) -> None:
    generation_at_start("bucket1", "run 1", lambda: 4)
    assert generation_at_start("bucket1", "run 2", lambda: 5) == 5
    assert generation_at_start("bucket2", "run 1", lambda: 6) == 6


def test_names_that_are_no_file_names_are_no_trouble(home: Path) -> None:
    assert generation_at_start("proc12/chunk 3 µ", "x" * 300 + "/..", lambda: 7) == 7


def test_tasks_that_begin_together_agree(home: Path) -> None:
    """Each finds another generation; whoever is first decides for all."""
    numbers = count(1)
    together = Barrier(8)

    def ask() -> int:
        together.wait(timeout=10)
        return next(numbers)

    def task(now: Callable[[], int]) -> int:
        return generation_at_start("bucket1", "run 1", now)

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(task, [ask] * 8))
    assert len(found) == 1
    assert [path.name for path in (home / "airflow" / "passes").glob("*/*") if "tmp" in path.name] == []
