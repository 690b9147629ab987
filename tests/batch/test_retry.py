"""Which failed jobs are tried again."""

import pytest

from b2cal.batch import RULES, Failure, Remedy, Source, rule_for


@pytest.mark.parametrize(
    ("exit_code", "message", "remedy"),
    [
        (None, "It ended without a report.", Remedy.LATER),
        (128 + 9, "Ended by SIGKILL", Remedy.LATER),
        (128 + 11, "Ended by SIGSEGV", Remedy.LATER),
        (73, "Cannot write outputs/collected.npz", Remedy.LATER),
        (74, "The input /data/a.root cannot be read", Remedy.LATER),
        (75, "", Remedy.LATER),
        (127, "Command not found: /release/bin/python", Remedy.LATER),
        (1, "ZeroDivisionError: division by zero", Remedy.NEVER),
        (1, "OSError: [Errno 28] No space left on device", Remedy.LATER),
        (1, "FileNotFoundError: [Errno 2] No such file or directory: 'x'", Remedy.NEVER),
        (2, "job.json cannot be understood", Remedy.NEVER),
        (74, "The input job.json cannot be read", Remedy.LATER),
        (74, "wrapper.json cannot be used", Remedy.LATER),
        (42, "", Remedy.LATER),
        (0, "outputs/result.json is missing", Remedy.LATER),
    ],
)
def test_what_may_pass_is_tried_again_and_what_would_fail_again_is_not(exit_code, message, remedy):
    assert rule_for(Failure.of(exit_code, message)).remedy is remedy


@pytest.mark.parametrize("source", Source)
def test_there_is_a_rule_for_every_failure(source):
    assert rule_for(Failure(source, 99, "never seen before"))


def test_every_rule_says_why_and_where_it_comes_from():
    assert all(rule.because and rule.reference for rule in RULES)


def test_no_rule_is_hidden_by_one_before_it():
    for place, rule in enumerate(RULES):
        example = Failure(rule.source, 98 if rule.code is None else rule.code, "[Errno 28]" if rule.pattern else "")
        assert RULES.index(rule_for(example)) == place


def test_a_failure_that_no_rule_fits_is_an_error_in_the_rules():
    with pytest.raises(LookupError):
        rule_for(Failure(Source.LOST, None, ""), rules=())
