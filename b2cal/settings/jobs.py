"""Settings of batch systems and storages: this machine's and those of other centres."""

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from b2cal.core.failures import Failure, Remedy, Slow, Source

from .sections import Seconds, Section

CODES: Mapping[str, range] = {Source.SIGNAL: range(1, 128), Source.EXIT: range(1, 129), Source.HOLD: range(1000)}
"""The codes that there are, by who says that a job failed. What ends with more than 128 is told as a signal; HTCondor's
codes of holds are below 1000, where those of evictions begin. Others tell none."""

HELD_BY_HAND = 1
"""Hold code of a job that waits until somebody releases it: it has not failed."""


class RetryRule(Section):
    """What is done about jobs that fail in one way, or are slow; see `b2cal/batch/retry_rules.toml`."""

    source: Source | Literal["slow"]
    code: int | None = Field(None, description="of signal, exit or hold; left out: any")
    pattern: re.Pattern[str] = Field(re.compile(""), description="is found in the first error; left out: any")
    remedy: Remedy
    passive: bool = Field(default=False, description="only said where it would fit; the next rule that fits counts")
    because: Annotated[str, Field(min_length=1)] = Field(description="told beside the job")
    reference: str = Field("", description="where code or advice come from")

    @model_validator(mode="after")
    def _slow_jobs_are_raced_or_left_alone(self) -> Self:
        if self.source == "slow" and self.remedy not in (Remedy.RACE, Remedy.NEVER):
            raise ValueError(f"a job that is slow has not failed: its remedy is race or never, not {self.remedy}")
        if self.source != "slow" and self.remedy is Remedy.RACE:
            raise ValueError("only a job that is slow is raced: its source is slow")
        return self

    @model_validator(mode="after")
    def _there_is_such_a_code(self) -> Self:
        if self.code is None:
            return self
        if self.source not in CODES:
            raise ValueError(f"what source {self.source} says has no code, so a rule with one would never fit")
        known = CODES[self.source]
        if self.code not in known:
            is_signal = self.source == Source.EXIT and self.code - known[-1] in CODES[Source.SIGNAL]
            instead = f"; that is source signal, code {self.code - known[-1]}" if is_signal else ""
            raise ValueError(
                f"the code of source {self.source} is {known[0]} to {known[-1]}, never {self.code}{instead}"
            )
        if (self.source, self.code) == (Source.HOLD, HELD_BY_HAND):
            raise ValueError(
                f"a job with hold code {HELD_BY_HAND} has not failed: it waits until whoever holds it releases it"
            )
        return self

    def covers(self, other: Self) -> bool:
        """Whether what the other one is for always comes here, if this one stands before it."""
        alike = self.source == other.source and self.code in (None, other.code)
        return alike and not self.passive and self.pattern.pattern in ("", other.pattern.pattern)

    def fits(self, trouble: Failure | Slow) -> bool:
        """Whether this rule is for that failure, or for a job that drags on like that."""
        return (
            self.source == trouble.source
            and self.code in (None, trouble.code)
            and self.pattern.search(trouble.message) is not None
        )


def _each_counts(rules: tuple[RetryRule, ...]) -> tuple[RetryRule, ...]:
    for number, rule in enumerate(rules, 1):
        before = next((earlier for earlier, it in enumerate(rules[: number - 1], 1) if it.covers(rule)), None)
        if before is not None:
            raise ValueError(f"entry {number} would never count: all that it fits comes to entry {before} before it")
    return rules


def _never_from(*silent: Source) -> AfterValidator:
    """No rule may be for what never happens there."""

    def check(rules: tuple[RetryRule, ...]) -> tuple[RetryRule, ...]:
        for number, rule in enumerate(rules, 1):
            if rule.source in silent:
                raise ValueError(f"entry {number} would never fit: nothing of source {rule.source} comes from here")
        return rules

    return AfterValidator(check)


RetryRules = Annotated[tuple[RetryRule, ...], AfterValidator(_each_counts)]
OWN_RULES = "what is done about jobs that fail here; they come before the rules that ship with b2cal"


def _address(door: str) -> str:
    if not re.fullmatch(r"root://[^/\s]+//\S*", door):
        raise ValueError(f"must be an address such as root://host:1094//store, not {door!r}")
    return door


Door = Annotated[str, AfterValidator(_address)]
"""An XRootD server and a folder of it: `root://se.example.org:1094//store`."""

Output = Annotated[str, AfterValidator(lambda folder: _address(folder) if folder else "")]


def _place(place: str) -> str:
    if place and not place.startswith("/"):
        _address(place)
    return place


SecondPlace = Annotated[str, AfterValidator(_place)]
"""A folder of this machine, or a folder of an XRootD server; empty: none."""


def _absolute(path: str) -> str:
    if path and not path.startswith("/"):
        raise ValueError(f"must be the absolute path of a file, not {path!r}")
    return path


SecretFile = Annotated[str, AfterValidator(_absolute)]
"""The path of a file that only the account of b2cal may read; empty: none. What lies in it is no setting."""


def _centre(name: str) -> str:
    if name == "local":
        raise ValueError("local is this machine, which [batch] describes; give the centre another name")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name):
        raise ValueError(
            "the name of a centre has letters, digits, _ . and -, at most 64, and begins with neither of . _ -"
        )
    return name


CentreName = Annotated[str, AfterValidator(_centre)]

XRD_ENVIRONMENT: Mapping[str, Mapping[str, int]] = {
    # Tries are made at the beginnings of windows, so these 480 last as long as the 24 below: 4 hours. What is refused
    # for good is asked again, because another door may be open meanwhile.
    "watchful": {"XRD_CONNECTIONWINDOW": 30, "XRD_CONNECTIONRETRY": 481, "XRD_STREAMERRORWINDOW": 0},
    "2021": {"XRD_CONNECTIONWINDOW": 600, "XRD_CONNECTIONRETRY": 25},
}
"""By the name of a patience: what it is for the XRootD client, which has 120 s and 5 tries by itself."""


FEW_JOBS = 20
LONGEST_SPREAD_S = 60.0


class StorageSettings(Section):
    """How the jobs of a centre reach the files that lie behind XRootD doors."""

    doors: tuple[Door, ...] = Field((), description="ways to its storage, in the order in which they are tried")
    output: Output = Field("", description="folder behind a door into which productions write; empty = the home folder")
    tape: SecondPlace = Field(
        "", description="where files of productions that are signed off are copied; empty = nowhere"
    )
    xrootd: Literal["watchful", "2021"] = Field(
        "watchful", description="how jobs wait for an XRootD server: for 4 hours, asking every 30 s or, `2021`, 600 s"
    )
    opens_per_s: Annotated[float, Field(gt=0)] = Field(
        20.0, description="so many jobs of a large group begin to read behind doors per second, all within a minute"
    )
    token: SecretFile = Field(
        "",
        description="file with a bearer token (JWT): jobs and b2cal prove by it at doors who they are; empty = none",
    )
    proxy: SecretFile = Field("", description="the same with an X.509 proxy")
    renew: tuple[str, ...] = Field(
        (), description="command that renews them, word by word; empty = somebody else does that"
    )
    renew_before_s: Seconds = Field(12 * 3600.0, description="it is given when one of them is valid for less than this")
    least_left_s: Seconds = Field(
        3600.0, description="nothing is submitted while one of them is valid for less than this"
    )

    @model_validator(mode="after")
    def _output_is_behind_a_door(self) -> Self:
        if self.output and not any(f"{self.output}/".startswith(f"{door.rstrip('/')}/") for door in self.doors):
            raise ValueError(f"the output {self.output} is behind none of the doors {list(self.doors)}")
        return self

    @model_validator(mode="after")
    def _renewed_in_time(self) -> Self:
        if self.renew and not (self.token or self.proxy):
            raise ValueError("renew is given, but neither token nor proxy: there is nothing to renew")
        if self.renew and self.renew_before_s <= self.least_left_s:
            raise ValueError(
                f"renew_before_s is {self.renew_before_s:g}, not more than least_left_s, {self.least_left_s:g}:"
                " nothing would be submitted while they are renewed"
            )
        return self

    @property
    def credentials(self) -> dict[str, str]:
        """The files by which one proves who one is, by the variable where the XRootD client looks for their path."""
        files = {"BEARER_TOKEN_FILE": self.token, "X509_USER_PROXY": self.proxy}
        return {variable: file for variable, file in files.items() if file}

    @property
    def job_credentials(self) -> dict[str, str]:
        """The same as jobs find them; what is no absolute path is brought into their folders."""
        return self.credentials

    @property
    def environment(self) -> dict[str, str]:
        """What the jobs must have in their environment before they load the XRootD client."""
        return {name: str(value) for name, value in XRD_ENVIRONMENT[self.xrootd].items()}

    def at_once(self, n_jobs: int) -> float:
        """How many of so many jobs may start at one moment."""
        return n_jobs

    def open_spread_s(self, n_jobs: int) -> float:
        """How long it takes until all of so many jobs, started at one moment, have begun to read; few begin at once."""
        starting = min(n_jobs, self.at_once(n_jobs))
        return min(starting / self.opens_per_s, LONGEST_SPREAD_S) if starting > FEW_JOBS else 0.0


class BatchSettings(StorageSettings):
    """This machine: its batch system and storage, and what the agent does about failed jobs."""

    slots: Annotated[int, Field(ge=0)] = Field(0, description="jobs at a time; 0 = one per core of this machine")
    retry_delay_s: Seconds = Field(1800.0, description="pause before failed jobs are tried again")
    max_tries: Annotated[int, Field(ge=1)] = Field(4, description="tries of a job in all")
    poll_interval_s: Seconds = Field(0.25, description="how often the agent looks")
    storm_jobs: Annotated[int, Field(ge=2)] = Field(20, description="so many jobs that fail alike are a storm")
    storm_window_s: Seconds = Field(1800.0, description="within this")
    host_failures: Annotated[int, Field(ge=2, le=20)] = Field(
        5, description="a host that fails so many jobs in succession gets no more"
    )
    host_quick_s: Seconds = Field(60.0, description="each of them within this from its start")
    slow_times: Annotated[float, Field(gt=1, le=1000)] = Field(
        3.0, description="a job that runs so many times as long as half of its siblings needed is slow"
    )
    slow_after_s: Seconds = Field(1800.0, description="but not before it has run for so long")
    slow_siblings: Annotated[int, Field(ge=1)] = Field(
        5, description="nor before so many of them, and half of the stage, have ended well"
    )
    bytes_per_job: Annotated[int, Field(ge=1)] = Field(2_000_000_000, description="input of one collect job")
    rules: Annotated[RetryRules, _never_from(Source.HOLD, Source.LSF)] = Field((), description=OWN_RULES)

    def at_once(self, n_jobs: int) -> float:
        return self.slots or len(os.sched_getaffinity(0))


class CentreSettings(StorageSettings):
    """What every centre says of its jobs."""

    interpreter: str = Field(
        "", description="Python for the scripts of every release at this centre; empty = the one that a release names"
    )
    memory_mb: Annotated[int, Field(ge=1)] = Field(2000, description="memory that a job asks for at first")
    max_memory_mb: Annotated[int, Field(ge=1)] = Field(
        8000, description="one that needs more gets the double, up to this"
    )
    rules: RetryRules = Field((), description=OWN_RULES)

    @model_validator(mode="after")
    def _memory_grows(self) -> Self:
        if self.max_memory_mb < self.memory_mb:
            raise ValueError(f"max_memory_mb is {self.max_memory_mb}, less than memory_mb, {self.memory_mb}")
        return self


class CondorSettings(CentreSettings):
    """A centre whose batch system is an HTCondor pool."""

    backend: Literal["htcondor"]
    rules: Annotated[RetryRules, _never_from(Source.LSF)] = Field((), description=OWN_RULES)
    python: str = Field("/usr/bin/python3", description="Python 3.11 or newer on the machines of the pool")
    schedd: str = Field(
        "", description="name of the schedd, as `condor_status -schedd` shows it; empty = the default one"
    )
    remote: bool = Field(
        default=False, description="the schedd is on another machine: files are sent to it, and fetched from it"
    )
    ask_every_s: Seconds = Field(10.0, description="how often such a schedd is asked how jobs stand")
    collector: str = Field("", description="machine that knows the schedd; empty = as HTCondor is configured here")
    accounting_group: str = Field("", description="who is charged; empty = as the pool does it")
    priority: int = Field(0, description="of these jobs among those of the same user; higher ones start first")
    image: str = Field("", description="container image in which jobs run; empty = none")
    host: str = Field("Machine", description="attribute of the machines by which one that fails jobs is known")
    submit: dict[str, str] = Field({}, description="more lines of the submit description: `+Attribute`, `requirements`")
    max_idle: Annotated[int, Field(ge=1)] = Field(1000, description="jobs of a group that wait in the queue at a time")
    start_delay_s: Annotated[int, Field(ge=0)] = Field(0, description="jobs of a group start so long after each other")
    job_lease_s: Annotated[int, Field(ge=20)] = Field(300, description="without contact a job is run again after this")
    release_after_s: Annotated[int, Field(ge=1)] = Field(300, description="a hold that may pass lasts so long")
    max_holds: Annotated[int, Field(ge=1)] = Field(3, description="a job that is held more often has failed")
    look_every_s: Annotated[int, Field(ge=1)] = Field(60, description="how often the queue is compared with its log")
    history_days: Annotated[int, Field(ge=1)] = Field(7, description="how long what has ended is remembered")

    @model_validator(mode="after")
    def _both_have_a_place(self) -> Self:
        if self.token and Path(self.token).name == Path(self.proxy).name:
            raise ValueError(
                f"token and proxy are both named {Path(self.token).name}: in the folder of a job they meet"
            )
        return self

    @property
    def job_credentials(self) -> dict[str, str]:
        return {variable: Path(file).name for variable, file in self.credentials.items()}

    def at_once(self, n_jobs: int) -> float:
        return 1 if self.start_delay_s else n_jobs


class LsfSettings(CentreSettings):
    """A centre whose batch system is LSF, on machines that see the home folder under the same name."""

    backend: Literal["lsf"]
    rules: Annotated[RetryRules, _never_from(Source.HOLD)] = Field((), description=OWN_RULES)
    python: str = Field("/usr/bin/python3", description="Python 3.11 or newer on the machines of the centre")
    path: str = Field("", description="folder of bsub, bjobs, bhist, bkill and bmod; empty = as PATH says")
    ssh: str = Field("", description="machine of the centre on which they are called by ssh; empty = here")
    queue: str = Field("", description="queue for the jobs; empty = the default one")
    project: str = Field("", description="project that is charged; empty = the default one")
    options: tuple[str, ...] = Field((), description="more options of bsub, for instance `-W`, `8:00`")
    max_array: Annotated[int, Field(ge=1)] = Field(1000, description="jobs of an array, see MAX_JOB_ARRAY_SIZE of LSF")
    max_running: Annotated[int, Field(ge=0)] = Field(0, description="of an array at a time; 0 = as many as LSF runs")
    poll_every_s: Seconds = Field(10, description="how often LSF is asked how jobs stand")
    patience_s: Seconds = Field(60, description="how long a command of LSF may take")
    history_logs: Annotated[int, Field(ge=0)] = Field(2, description="event logs that bhist reads; 0 = all")
    remember_days: Annotated[int, Field(ge=1)] = Field(7, description="how long what has ended is remembered")
    report_late_s: Seconds = Field(60, description="how long the files of a job may take to be seen here after its end")

    def at_once(self, n_jobs: int) -> float:
        arrays = math.ceil(n_jobs / self.max_array)
        return arrays * self.max_running or n_jobs


Centre = Annotated[CondorSettings | LsfSettings, Field(discriminator="backend")]
