"""Which failed jobs are tried again, and how."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from b2cal.batch import RULES, RetryPolicy, about_slow, plan, retry_policy
from b2cal.batch.retry import fitting
from b2cal.core.failures import Failure, Remedy, Slow, Source
from b2cal.settings import BatchSettings, RetryRule, RetryRules, Settings, SettingsRefused, read_settings

ONE_GB = RetryPolicy(RULES, delay_s=1800.0, max_tries=4, memory_mb=1000, max_memory_mb=3000)
NO_MEMORY = RetryPolicy(RULES, delay_s=1800.0, max_tries=4)


def rule(remedy: Remedy, **more) -> RetryRule:
    return RetryRule(**{"source": Source.EXIT, "remedy": remedy, "because": "of a test"} | more)


def remedy_for(failure: Failure) -> Remedy:
    its = plan(failure, None, ONE_GB)
    return Remedy.NEVER if its.hopeless else Remedy.LATER if its.waits else Remedy.MORE_MEMORY


@pytest.mark.parametrize(
    ("exit_code", "message", "remedy"),
    [
        (None, "It ended without a report.", Remedy.LATER),
        (128 + 9, "Ended by SIGKILL", Remedy.MORE_MEMORY),
        (128 + 11, "Ended by SIGSEGV", Remedy.LATER),
        (128 + 12, "Ended by SIGUSR2", Remedy.NEVER),
        (73, "Cannot write outputs/collected.npz", Remedy.LATER),
        (74, "The input /data/a.root cannot be read", Remedy.LATER),
        (74, "OSError: [ERROR] Server responded with an error: [3010] permission denied", Remedy.NEVER),
        (75, "", Remedy.LATER),
        (127, "Command not found: /release/bin/python", Remedy.LATER),
        (1, "ZeroDivisionError: division by zero", Remedy.NEVER),
        (1, "OSError: [Errno 28] No space left on device", Remedy.LATER),
        (1, "OSError: [Errno 12] Cannot allocate memory", Remedy.MORE_MEMORY),
        (1, "MemoryError", Remedy.MORE_MEMORY),
        (1, "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 3.2 GiB for an array", Remedy.MORE_MEMORY),
        (1, "OSError: File did not open properly: [FATAL] Connection error", Remedy.LATER),
        (1, "OSError: [ERROR] Operation expired", Remedy.LATER),
        (1, "FileNotFoundError: [Errno 2] No such file or directory: 'x'", Remedy.NEVER),
        (2, "job.json cannot be understood", Remedy.NEVER),
        (74, "The input job.json cannot be read", Remedy.LATER),
        (74, "wrapper.json cannot be used", Remedy.LATER),
        (42, "", Remedy.LATER),
        (0, "outputs/result.json is missing", Remedy.LATER),
    ],
)
def test_what_may_pass_is_tried_again_and_what_would_fail_again_is_not(exit_code, message, remedy):
    assert remedy_for(Failure.of(exit_code, message)) is remedy


@pytest.mark.parametrize(
    ("source", "code", "message", "remedy"),
    [
        (Source.HOLD, 34, "Held by HTCondor, code 34/102: memory usage exceeded request_memory", Remedy.MORE_MEMORY),
        (Source.HOLD, 34, "Held by HTCondor, code 34/104: disk usage exceeded request_disk", Remedy.LATER),
        (Source.HOLD, 21, "Held by HTCondor, code 21/102: memory usage exceeded request_memory", Remedy.MORE_MEMORY),
        (Source.HOLD, 21, "Held by HTCondor, code 21/0: the machine's policy", Remedy.LATER),
        (Source.HOLD, 13, "Held by HTCondor, code 13/2: transfer of input files failed", Remedy.LATER),
        (Source.HOLD, 46, "Held by HTCondor, code 46/0: allowed duration", Remedy.NEVER),
        (Source.HOLD, 7, "Held by HTCondor, code 7/28: cannot open the output", Remedy.LATER),
        (Source.HOLD, 26, "Held by HTCondor, code 26/0: Memory usage is over 3 GB", Remedy.MORE_MEMORY),
        (Source.HOLD, 26, "Held by HTCondor, code 26/0: started more than 10 times", Remedy.NEVER),
        (Source.HOLD, 24, "Held by HTCondor, code 24/0: no compatible shadow", Remedy.NEVER),
        (Source.HOLD, 99, "Held by HTCondor, code 99/0: a code to come", Remedy.LATER),
        (Source.LOST, None, "Removed from HTCondor: via condor_rm (by user prod)", Remedy.LATER),
        (Source.LSF, None, "LSF: TERM_OWNER: job killed by owner", Remedy.LATER),
        (Source.LSF, None, "LSF: TERM_MEMLIMIT: job killed after reaching LSF memory usage limit", Remedy.MORE_MEMORY),
        (Source.LSF, None, "LSF: TERM_RUNLIMIT: job killed after reaching LSF run time limit", Remedy.NEVER),
        (Source.LSF, None, "LSF: TERM_PREEMPT: job killed after preemption", Remedy.LATER),
    ],
)
def test_what_a_batch_system_says_of_a_job_decides_too(source, code, message, remedy):
    assert remedy_for(Failure(source, code, message)) is remedy


BY_HAND, SPOOLING, IN_EC2 = 1, 16, range(37, 43)
TERMINATION_REASONS = Path(__file__).with_name("recorded") / "lsf_10.1_termination_reasons.txt"


@pytest.mark.parametrize("code", sorted({*range(1, 49)} - {2, BY_HAND, SPOOLING, *IN_EC2}))
def test_each_hold_code_of_htcondor_that_a_job_may_have_has_a_rule_of_its_own(code):
    """condor_holdcodes.h: 2 was of a grid that is no more; who is held by hand, or waits for files, has not failed."""
    *_, applied = fitting(Failure(Source.HOLD, code, f"Held by HTCondor, code {code}/0: x"))
    assert applied.code == code


@pytest.mark.parametrize("reason", TERMINATION_REASONS.read_text().split())
def test_each_termination_reason_of_lsf_has_a_rule_of_its_own(reason):
    *_, applied = fitting(Failure(Source.LSF, None, f"LSF: {reason}: x"))
    assert applied.pattern.pattern


@given(st.sampled_from(Source), st.none() | st.integers(0, 10_000), st.text())
def test_there_is_a_plan_for_every_failure(source, code, message):
    assert plan(Failure(source, code, message), None, ONE_GB).said.startswith(f"Rule {source}")


def test_every_shipped_rule_says_why_and_where_it_comes_from_and_all_but_the_race_are_applied():
    assert all(rule.because and rule.reference for rule in RULES)
    assert [rule.remedy for rule in RULES if rule.passive] == [Remedy.RACE]


def test_no_shipped_rule_is_hidden_by_a_more_general_one_before_it():
    for place, later in enumerate(RULES):
        for earlier in RULES[:place]:
            general = not earlier.pattern.pattern and earlier.code in (None, later.code)
            general &= not earlier.passive
            assert earlier.source != later.source or not general, f"{earlier} hides {later}"


def test_memory_doubles_up_to_the_most_that_a_centre_gives_and_then_the_job_is_given_up():
    killed = Failure.of(128 + 9, "Ended by SIGKILL")
    first = plan(killed, None, ONE_GB)
    assert (first.memory_mb, first.waits, first.hopeless) == (2000, False, False)
    second = plan(killed, first.memory_mb, ONE_GB)
    assert (second.memory_mb, second.waits, second.hopeless) == (3000, False, False)
    third = plan(killed, second.memory_mb, ONE_GB)
    assert third.hopeless
    assert "it had 3000 MB, the most that a job gets there" in third.why_hopeless


def test_where_no_memory_is_given_out_a_killed_job_is_tried_again_after_the_pause():
    its = plan(Failure.of(128 + 9, "Ended by SIGKILL"), None, NO_MEMORY)
    assert (its.memory_mb, its.waits, its.hopeless) == (None, True, False)


def test_a_job_that_fails_for_another_reason_keeps_the_memory_that_it_had_got():
    assert plan(Failure.of(74, "The input cannot be read"), 2000, ONE_GB).memory_mb == 2000


def test_the_rules_of_a_centre_come_before_the_shipped_ones_and_hold_there_only(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("b2cal.toml").write_text(
        '[centres.bnl]\nbackend = "htcondor"\nmemory_mb = 500\n\n'
        '[[centres.bnl.rules]]\nsource = "exit"\ncode = 42\nremedy = "never"\nbecause = "42 is final here"\n\n'
        '[centres.desy]\nbackend = "htcondor"\n\n'
        '[[batch.rules]]\nsource = "exit"\ncode = 43\nremedy = "never"\nbecause = "43 is final on this machine"\n'
    )
    settings = read_settings()
    final = {
        centre: [code for code in (42, 43) if plan(Failure.of(code, ""), None, retry_policy(settings, centre)).hopeless]
        for centre in ("bnl", "desy", "local")
    }
    assert final == {"bnl": [42], "desy": [], "local": [43]}
    assert (retry_policy(settings, "bnl").memory_mb, retry_policy(settings, "local").memory_mb) == (500, None)


def test_a_passive_rule_is_told_and_the_next_one_counts():
    careful = rule(Remedy.NEVER, code=42, passive=True, because="it may be final")
    its = plan(Failure.of(42, "x"), None, RetryPolicy((careful, *RULES), 1.0, 4))
    assert not its.hopeless
    assert its.said == (
        "Passive rule exit 42, never: it may be final. Rule exit, later: the exit code is not known, it may pass"
    )


def test_a_slow_job_is_only_reported_unless_a_centre_has_it_raced():
    said, raced = about_slow(Slow("Runs far longer"), ONE_GB)
    assert not raced
    assert said == (
        "Passive rule slow, race: its machine may be to blame, and a copy elsewhere be done sooner."
        " Rule slow, never: it may only have more to do, and a copy takes a place from other jobs"
    )
    own = rule(Remedy.RACE, source="slow", because="old machines")
    racing = RetryPolicy((own, *RULES), 1.0, 4)
    assert about_slow(Slow("Runs far longer"), racing) == ("Rule slow, race: old machines", True)


@pytest.mark.parametrize(("source", "remedy"), [("slow", "later"), ("slow", "ask"), ("exit", "race")])
def test_only_slow_jobs_are_raced_and_they_are_not_tried_again(source, remedy):
    with pytest.raises(ValidationError, match="slow"):
        rule(Remedy(remedy), source=source)


def test_what_a_rule_asks_about_waits_for_nothing_else():
    its = plan(Failure.of(42, "x"), 2000, RetryPolicy((rule(Remedy.ASK, code=42), *RULES), 1.0, 4))
    assert (its.asks, its.waits, its.hopeless, its.memory_mb) == ("of a test", False, False, 2000)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('source = "weather"', "source"),
        ('remedy = "pray"', "remedy"),
        ('pattern = "("', "pattern"),
        ('because = ""', "because"),
        ('reason = "x"', "reason is not known"),
    ],
)
def test_a_rule_that_cannot_be_used_is_refused_with_the_key_that_is_wrong(tmp_path, monkeypatch, line, said):
    monkeypatch.chdir(tmp_path)
    good = {"source": '"exit"', "remedy": '"never"', "because": '"x"'}
    key, _, value = line.partition(" = ")
    lines = "\n".join(f"{name} = {text}" for name, text in {**good, key: value}.items())
    Path("b2cal.toml").write_text(f"[[batch.rules]]\n{lines}\n")
    with pytest.raises(SettingsRefused, match=said):
        read_settings()


def refused_rules(tmp_path, monkeypatch, section, *rules):
    monkeypatch.chdir(tmp_path)
    described = '[centres.bnl]\nbackend = "htcondor"\n[centres.kek]\nbackend = "lsf"\n'
    tables = [f'[[{section}.rules]]\nremedy = "never"\nbecause = "x"\n{lines}\n' for lines in rules]
    Path("b2cal.toml").write_text(described + "\n".join(tables))
    with pytest.raises(SettingsRefused) as refused:
        read_settings()
    return str(refused.value)


@pytest.mark.parametrize(
    ("section", "line", "said"),
    [
        ("batch", 'source = "signal"\ncode = 128', "batch.rules.2 the code of source signal is 1 to 127, never 128"),
        (
            "batch",
            'source = "exit"\ncode = 137',
            "batch.rules.2 the code of source exit is 1 to 128, never 137; that is source signal, code 9",
        ),
        ("batch", 'source = "exit"\ncode = 0', "batch.rules.2 the code of source exit is 1 to 128, never 0"),
        ("batch", 'source = "lost"\ncode = 1', "batch.rules.2 what source lost says has no code"),
        ("centres.bnl", 'source = "hold"\ncode = 1001', "centres.bnl.rules.2 the code of source hold is 0 to 999"),
        ("centres.bnl", 'source = "hold"\ncode = 1', "centres.bnl.rules.2 a job with hold code 1 has not failed"),
        ("centres.bnl", 'source = "lsf"', "centres.bnl.rules entry 2 would never fit"),
        ("centres.kek", 'source = "hold"', "centres.kek.rules entry 2 would never fit"),
        ("batch", 'source = "hold"', "batch.rules entry 2 would never fit"),
        (
            "batch",
            'source = "exit"\ncode = 42',
            "batch.rules entry 2 would never count: all that it fits comes to entry 1",
        ),
    ],
)
def test_a_rule_that_can_never_fit_is_refused_with_its_place(tmp_path, monkeypatch, section, line, said):
    assert said in refused_rules(tmp_path, monkeypatch, section, 'source = "exit"', line)


def test_a_rule_behind_a_narrower_or_a_passive_one_counts():
    passive, narrow = rule(Remedy.NEVER, passive=True), rule(Remedy.NEVER, code=42, pattern="x")
    rules = (passive, narrow, rule(Remedy.NEVER, code=42), rule(Remedy.LATER))
    assert BatchSettings(rules=rules).rules == rules


def test_each_of_the_shipped_rules_counts():
    adapter = TypeAdapter(RetryRules)
    assert adapter.validate_python(RULES) == RULES


def test_a_failure_that_no_rule_fits_is_an_error_in_the_rules():
    with pytest.raises(LookupError):
        plan(Failure(Source.LOST, None, ""), None, RetryPolicy((), 1.0, 4))


def test_settings_without_rules_have_the_shipped_ones():
    assert retry_policy(Settings(), "local").rules == RULES
