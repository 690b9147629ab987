"""How much may still be written behind a door, as its server tells."""

import pytest

from b2cal.data.behind_doors import parse_space

TOLD = "oss.cgroup=public&oss.space=1000&oss.free=300&oss.maxf=300&oss.used=700&oss.quota={}"


@pytest.mark.parametrize(
    ("told", "free"),
    [
        (TOLD.format(-1), 300),
        (TOLD.format(800), 100),
        (TOLD.format(600), 0),
        ("oss.cgroup=public&oss.space=0&oss.free=0&oss.maxf=0&oss.used=0&oss.quota=-1", None),
        ("oss.space=many&oss.free=1&oss.used=1&oss.quota=-1", None),
        ("", None),
    ],
)
def test_a_quota_counts_as_well_as_the_disk_and_what_is_not_told_is_not_known(told: str, free: int | None) -> None:
    assert parse_space(told) == free
