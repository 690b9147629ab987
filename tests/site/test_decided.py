from b2cal.core.iov import ExpRun
from b2cal.site.decided import facts

EVENTS = [[ExpRun(26, run).number, "bhabha", 10] for run in (100, 101, 102)]


def test_what_was_accepted_as_missing_is_told_in_words() -> None:
    few = {"shortage": {"events": EVENTS[:1], "newest_run": None}}
    many = {"shortage": {"events": EVENTS, "newest_run": ExpRun(26, 104).number}}
    assert facts(few, {}) == ["not all events of bhabha in e26r100"]
    assert facts(many, {}) == ["not all events of bhabha in e26r100 and 2 more", "no run known after e26r104"]
    assert facts({"shortage": {"events": [], "newest_run": None}}, {}) == []
