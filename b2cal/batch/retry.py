"""Which failed jobs are tried again, and how; which slow ones are raced by a copy.

The rules are data, see `retry_rules.toml`: the first that fits counts. The rules of a centre come before those that
ship with b2cal. A passive one is told where it would fit, and passed over.
"""

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from b2cal.core.failures import Failure, Remedy, Slow
from b2cal.settings import RetryRule, Settings

SHIPPED = Path(__file__).with_name("retry_rules.toml")


def shipped_rules() -> tuple[RetryRule, ...]:
    """The rules that ship with b2cal; they end with one for each source that fits all of it."""
    return tuple(RetryRule(**rule) for rule in tomllib.loads(SHIPPED.read_text())["rule"])


RULES = shipped_rules()


def fitting(trouble: Failure | Slow, rules: Sequence[RetryRule] = RULES) -> Iterator[RetryRule]:
    """The rules that fit a failure or a slow job, up to the first that is to be applied; those before it are passive.

    Raises:
        LookupError: none is to be applied.
    """
    for rule in rules:
        if rule.fits(trouble):
            yield rule
            if not rule.passive:
                return
    raise LookupError(f"no retry rule fits {trouble}")


@dataclass(frozen=True)
class RetryPolicy:
    """What a centre does about failed jobs.

    Attributes:
        delay_s: pause before they are tried again.
        max_tries: tries of a job in all.
        memory_mb: what a job asks for at first; None where the batch system gives out no memory.
        max_memory_mb: what it may ask for at most.
    """

    rules: tuple[RetryRule, ...]
    delay_s: float
    max_tries: int
    memory_mb: int | None = None
    max_memory_mb: int | None = None


def retry_policy(settings: Settings, centre: str) -> RetryPolicy:
    """What the settings say of a centre; of one that they do not know, what they say of this machine."""
    batch, known = settings.batch, settings.centres.get(centre)
    if known is None:
        return RetryPolicy((*batch.rules, *RULES), batch.retry_delay_s, batch.max_tries)
    rules = (*known.rules, *RULES)
    return RetryPolicy(rules, batch.retry_delay_s, batch.max_tries, known.memory_mb, known.max_memory_mb)


@dataclass(frozen=True)
class Plan:
    """What is done about one failed job.

    Attributes:
        said: which rules fit, and why; a sentence without its full stop.
        waits: it is tried again after the pause, not at once.
        asks: why it is not tried again before somebody decides; empty: it does not wait for that.
        memory_mb: what it asks for then; None: the usual.
        why_hopeless: behind "Not tried again", where it is not tried again.
    """

    said: str
    waits: bool = True
    asks: str = ""
    memory_mb: int | None = None
    hopeless: bool = False
    why_hopeless: str = ""


def plan(failure: Failure, memory_mb: int | None, policy: RetryPolicy) -> Plan:
    """What the rules of a centre say of a failure; `memory_mb` is what the job has asked for, None: the usual."""
    said, rule = _applied(failure, policy)
    if rule.remedy is Remedy.NEVER:
        return Plan(said, hopeless=True)
    if rule.remedy is Remedy.ASK:
        return Plan(said, waits=False, asks=rule.because, memory_mb=memory_mb)
    had_mb = memory_mb or policy.memory_mb
    if rule.remedy is Remedy.LATER or had_mb is None or policy.max_memory_mb is None:
        return Plan(said, memory_mb=memory_mb)
    if had_mb >= policy.max_memory_mb:
        return Plan(said, hopeless=True, why_hopeless=f": it had {had_mb} MB, the most that a job gets there")
    return Plan(said, waits=False, memory_mb=min(2 * had_mb, policy.max_memory_mb))


def about_slow(slow: Slow, policy: RetryPolicy) -> tuple[str, bool]:
    """What the rules of a centre say of a slow job, a sentence without its full stop; and whether a copy races it."""
    said, rule = _applied(slow, policy)
    return said, rule.remedy is Remedy.RACE


def _applied(trouble: Failure | Slow, policy: RetryPolicy) -> tuple[str, RetryRule]:
    *passive, rule = fitting(trouble, policy.rules)
    return ". ".join([*(f"Passive rule {_told(each)}" for each in passive), f"Rule {_told(rule)}"]), rule


def _told(rule: RetryRule) -> str:
    code = "" if rule.code is None else f" {rule.code}"
    return f"{rule.source}{code}, {rule.remedy}: {rule.because}"
