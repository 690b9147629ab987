"""Reading logs."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from b2cal.batch import around_error, read_log

lines_of_text = st.lists(
    st.text(st.characters(codec="ascii", categories=("L", "N", "Zs")), max_size=12) | st.just("an error here"),
    max_size=40,
)
in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@in_one_folder
@given(lines_of_text, st.booleans(), st.none() | st.integers(-3, 50), st.integers(1, 12))
def test_a_window_is_the_lines_of_the_file(
    tmp_path: Path, lines: list[str], ends: bool, start: int | None, n_lines: int
) -> None:
    path = tmp_path / "stderr"
    path.write_text("\n".join(lines) + ("\n" if ends and lines else ""))
    real = path.read_text().removesuffix("\n").split("\n") if path.read_text() else []
    found = read_log(path, start, "", n_lines)
    assert found.total == len(real)
    begin = max(0, len(real) - n_lines) if start is None else min(max(0, start - 1), max(0, len(real) - 1))
    assert [line.text for line in found.lines] == real[begin : begin + n_lines]
    assert [line.number for line in found.lines] == list(range(begin + 1, begin + 1 + len(found.lines)))
    first = next((number for number, text in enumerate(real, 1) if "error" in text), None)
    assert found.first_error == first
    assert [line.number for line in found.lines if line.is_error] == [
        n for n in [first] if n and begin < n <= begin + n_lines
    ]


def test_the_reported_error_is_preferred_to_the_first_word_that_looks_like_one(tmp_path: Path) -> None:
    path = tmp_path / "stderr"
    path.write_text("no error yet\nstill none\nKeyError: 'layers'\nend\n")
    assert read_log(path, error="KeyError: 'layers'").first_error == 3
    assert [line.text for line in around_error(path, "KeyError: 'layers'").lines] == [
        "still none",
        "KeyError: 'layers'",
        "end",
    ]


def test_a_missing_or_empty_log_has_no_lines(tmp_path: Path) -> None:
    assert read_log(tmp_path / "none").lines == ()
    (tmp_path / "empty").touch()
    assert read_log(tmp_path / "empty").total == 0


def test_colours_and_control_characters_are_left_out_and_long_lines_cut(tmp_path: Path) -> None:
    path = tmp_path / "stderr"
    path.write_bytes(b"\x1b[31mred\x1b[0m\x07\n" + b"x" * 5000 + b"\n\xff\xfe\n")
    found = read_log(path)
    assert found.lines[0].text == "red"
    assert found.lines[1].text.endswith("… 3,000 more bytes")
    assert found.lines[2].text == "��"


def test_a_large_log_shows_its_end_and_any_line(tmp_path: Path) -> None:
    path = tmp_path / "stderr"
    line = b"x" * 99 + b"\n"
    with open(path, "wb") as file:
        file.writelines(line * 2_000 for _ in range(100))
        file.write(b"the last line\n")
    found = read_log(path)
    assert (found.total, found.lines[-1].text) == (200_001, "the last line")
    assert read_log(path, 123_456, n_lines=1).lines[0].number == 123_456
