"""What a server says of a file that it does not give."""

from typing import NamedTuple

import pytest

from b2cal.calibration.doors import has_refused, is_not_there


class Status(NamedTuple):
    """As the client tells it: its own code, and the server's number where that has answered (400)."""

    code: int
    errno: int


@pytest.mark.parametrize("number", [3005, 3011, 3016])
def test_what_a_server_does_not_have_is_not_there(number: int) -> None:
    assert is_not_there(Status(400, number))


@pytest.mark.parametrize("status", [Status(204, 0), Status(400, 3010), Status(400, 3030)])
def test_who_is_not_let_in_does_not_know_what_is_there(status: Status) -> None:
    assert has_refused(status)
    assert not is_not_there(status)


@pytest.mark.parametrize("status", [Status(0, 0), Status(101, 0), Status(206, 0)])
def test_a_server_that_does_not_answer_has_refused_nothing(status: Status) -> None:
    assert not has_refused(status)
    assert not is_not_there(status)
