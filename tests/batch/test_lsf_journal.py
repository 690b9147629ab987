"""The journal of LSF: whoever takes over knows what others wrote down."""

from pathlib import Path

from b2cal.batch.lsf_journal import Array, Journal


def array(name: str, at: float = 1.0) -> Array:
    return Array(name, token="t", epoch=1, folders="/attempts/1/lsf-0", at=at)


def test_who_stands_by_knows_what_was_written_since_it_began_and_removes_none_of_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    stands_by = Journal(path)
    assert list(stands_by) == []
    works = Journal(path)
    old, new = works.begin(array("old")), works.begin(array("new"))
    works.submitted(old, "6")
    works.submitted(new, "7")
    assert [it.number for it in stands_by.of("t")] == ["6", "7"]
    works.begin(array("newest"))
    stands_by.forget([old])
    assert [it.name for it in works] == [it.name for it in Journal(path)] == ["new", "newest"]
    assert works.get("old") is None


def test_half_a_line_is_none_and_what_comes_behind_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.begin(array("one"))
    with path.open("a") as file:
        file.write('{"name": "tw')
    journal.begin(array("three"))
    assert [it.name for it in Journal(path)] == ["one", "three"]
