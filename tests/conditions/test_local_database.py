"""Local databases of Belle II: the lines of `database.txt`, and archives that nobody vouches for."""

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from b2cal.conditions import InvalidLocalDatabase, parse_database, read_local_database, unpacked

LIMIT = 1_000_000
GOOD = {"database.txt": b"dbstore/PA 1 0,0,-1,-1\n", "dbstore_PA_rev_1.root": b"root of it"}


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def tarred(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def linked(path: Path, _members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("database.txt")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    return path


def cut(path: Path, members: dict[str, bytes]) -> Path:
    path.write_bytes(zipped(path, members).read_bytes()[:-30])
    return path


def test_comments_and_empty_lines_say_nothing_and_the_last_of_equal_lines_counts() -> None:
    lines = parse_database(
        "# made by hand\n\n"
        "dbstore/PA 1 7,12,7,-1\n"
        "dbstore/PB 3f0a 0,0,-1,-1   # everything\n"
        "dbstore/PA ab12 7,12,7,-1\n"
    )
    assert [(line.name, str(line.iov), line.file_name) for line in lines] == [
        ("PA", "e7r12 - e7rend", "dbstore_PA_rev_ab12.root"),
        ("PB", "e0r0 - open", "dbstore_PB_rev_3f0a.root"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "dbstore/PA 1 7,12,7",
        "dbstore/PA 1 7,12,7,-1,0",
        "dbstore/PA 7,12,7,-1",
        "dbstore/../PA 1 7,12,7,-1",
        "dbstore/PA ../1 7,12,7,-1",
        "dbstore/PA 1 7,12,6,1",
        "dbstore/PA 1 99999999999,0,-1,-1",
        f"dbstore/PA 1 {'9' * 5000},0,-1,-1",
        "dbstore/PA 1 -1,-1,-1,-1",
        "PA 1 7,12,7,-1",
    ],
)
def test_a_line_that_says_something_else_is_named_by_its_number(text: str) -> None:
    with pytest.raises(InvalidLocalDatabase, match=r"^Line 2 of database\.txt cannot be understood: .*\.$"):
        parse_database(f"# first\n{text}\n")


def test_a_database_without_payloads_or_without_a_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidLocalDatabase, match="names no payload"):
        parse_database("# nothing\n")
    with pytest.raises(InvalidLocalDatabase, match="No such file"):
        read_local_database(tmp_path)
    (tmp_path / "database.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidLocalDatabase, match="it is no text"):
        read_local_database(tmp_path)


@pytest.mark.parametrize("filler", [b"##\n", b"#", b"dbstore/PA 1 0,0,-1,-1\n"])
def test_a_database_that_is_larger_than_any_real_one_is_not_read(tmp_path: Path, filler: bytes) -> None:
    """It is read in the process of the site: nine megabytes of short lines took a quarter of a gigabyte there."""
    ten_thousand = b"".join(
        b"dbstore/Payload%09d 0123456789abcdef0123456789abcdef %d,0,-1,-1\n" % (i, i) for i in range(10_000)
    )
    (tmp_path / "database.txt").write_bytes(ten_thousand)
    assert len(read_local_database(tmp_path)) == 10_000
    (tmp_path / "database.txt").write_bytes(ten_thousand + filler * 1_000_000)
    with pytest.raises(InvalidLocalDatabase, match=r"more than 1,000,000 bytes") as refused:
        read_local_database(tmp_path)
    assert "divide it" in refused.value.hint


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_an_archive_gives_what_belongs_to_a_database_by_its_last_name_and_nothing_else(
    tmp_path: Path, pack: Callable[[Path, dict[str, bytes]], Path]
) -> None:
    outside = {"../../outside.root": b"x", "/etc/cron": b"x", "localdb/run.sh": b"x"}
    archive = pack(tmp_path / "archive", {**outside, **{f"../localdb/{name}": data for name, data in GOOD.items()}})
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with unpacked(archive, scratch, LIMIT) as folder:
        assert folder.parent == scratch
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == GOOD
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["archive", "scratch"]


@pytest.mark.parametrize(
    ("pack", "members", "why"),
    [
        (zipped, {"other.txt": b""}, "it holds no database.txt"),
        (linked, {}, "it holds no database.txt"),
        (zipped, {**GOOD, "deeper/dbstore_PA_rev_1.root": b"x"}, "it holds dbstore_PA_rev_1.root twice"),
        (zipped, {**GOOD, "deeper/dbstore_PA_rev_2.root": b"x"}, "do not lie beside database.txt"),
        (zipped, {**GOOD, "dbstore_PA_rev_2.root": bytes(50 * LIMIT)}, "it unpacks to more than is taken"),
        (tarred, {**GOOD, "dbstore_PA_rev_2.root": bytes(50 * LIMIT)}, "it unpacks to more than is taken"),
        (zipped, {**GOOD, "database.txt": 340_000 * b"##\n"}, r"its database\.txt has more than 1,000,000 bytes"),
        (cut, GOOD, "it is neither a .tar nor a .zip"),
    ],
)
def test_an_archive_that_holds_no_database_or_too_much_is_refused_and_nothing_is_left(
    tmp_path: Path, pack: Callable[[Path, dict[str, bytes]], Path], members: dict[str, bytes], why: str
) -> None:
    archive = pack(tmp_path / "archive", members)
    with pytest.raises(InvalidLocalDatabase, match=why), unpacked(archive, tmp_path, LIMIT):
        pytest.fail("it was taken")
    assert [path.name for path in tmp_path.iterdir()] == ["archive"]
