"""What the runtime is told about an attempt, and what it answers: plain values, no database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from b2cal.core.iov import ExpRun, IoV
from b2cal.model import JobState, Kind, Outcome, Stage

Spec = dict[str, Any]
"""A part of job.json."""


@dataclass(frozen=True)
class InputFile:
    """An input file, frozen with its checksum. `exprun` as a number.

    Attributes:
        data_name: under which the calibration reads it.
        stream: to which it belongs.
    """

    path: str
    data_name: str
    stream: str
    exprun: int
    sha256: str
    size_bytes: int
    n_events: int

    def to_json(self) -> Spec:
        """As job.json has it."""
        run = ExpRun.from_number(self.exprun)
        return {
            "path": self.path,
            "data_name": self.data_name,
            "stream": self.stream,
            "exp": run.exp,
            "run": run.run,
            "sha256": self.sha256,
        }


@dataclass(frozen=True)
class Constants:
    """A payload file and the runs it is valid for; `first` and `last` as numbers, both inclusive."""

    name: str
    first: int
    last: int
    path: str
    identity: str

    @property
    def iov(self) -> IoV:
        return IoV.from_numbers(self.first, self.last)

    def to_json(self) -> Spec:
        """As job.json has it."""
        first, last = self.iov.to_json()
        return {"name": self.name, "first": first, "last": last, "path": self.path, "identity": self.identity}


@dataclass(frozen=True)
class JobOutcome:
    """How part `number` of a stage stands; `folder` is the one of the try that counts, None before there is one."""

    number: int
    state: JobState
    folder: Path | None
    error: str = ""


@dataclass(frozen=True)
class StageOutcome:
    """A stage of an attempt as it stands, its rounds of retries already merged into one outcome for each job."""

    stage: Stage
    iteration: int
    finished: bool
    failed: bool
    jobs: tuple[JobOutcome, ...]


@dataclass(frozen=True)
class Work:
    """An attempt: what it runs, on which inputs, with which constants, and how far it is.

    Attributes:
        config: the merged expert_config of the submission.
        traits: what the class declares (`strategy`, `max_iterations`, ...).
        seed: the start of all its random numbers; the same for equal release, script and configuration.
        conditions: all constants that the attempt may read.
        requested: the runs that new constants must cover.
        bytes_per_job: input that one job should get; a run is never divided.
        stages: the stages that have been wanted so far, in any order.
    """

    kind: Kind
    module: str
    release: Path
    config: Mapping[str, Any]
    traits: Mapping[str, Any]
    seed: str
    files: tuple[InputFile, ...]
    conditions: tuple[Constants, ...]
    requested: IoV
    bytes_per_job: int
    stages: tuple[StageOutcome, ...] = ()


@dataclass(frozen=True)
class WantedJob:
    """One job that is wanted: a label for people, and its own part of job.json."""

    label: str
    spec: Spec


@dataclass(frozen=True)
class WantGroup:
    """A group of jobs that is wanted; `spec` is what they share of job.json, the jobs are numbered from 0 in order."""

    stage: Stage
    iteration: int
    spec: Spec
    jobs: tuple[WantedJob, ...]


@dataclass(frozen=True)
class ProducedPayload:
    """A payload file that a fit wrote; `first` and `last` as numbers."""

    name: str
    first: int
    last: int
    path: Path
    identity: str


@dataclass(frozen=True)
class ProducedFile:
    """A data file that a production wrote. `exprun` as a number.

    Attributes:
        path: where it lies on a disk, or its address behind a door.
        checksum: behind a door, what its job found when it had brought it there.
    """

    path: Path | str
    data_name: str
    exprun: int
    n_events: int
    checksum: str = ""


@dataclass(frozen=True)
class Ended:
    """With what an attempt ended, and which constants its jobs have read.

    Attributes:
        without_data: runs asked for that had too few data; new constants do not cover them.
    """

    outcome: Outcome
    message: str = ""
    converged: bool = True
    payloads: tuple[ProducedPayload, ...] = ()
    files: tuple[ProducedFile, ...] = ()
    names_read: frozenset[str] = frozenset()
    without_data: tuple[IoV, ...] = ()


@dataclass(frozen=True)
class Measurements:
    """What a measure job brought back: measurements and the limits that the script declares, as JSON has them."""

    measurements: Sequence[Spec] = ()
    limits: Mapping[str, Any] = field(default_factory=dict)
    names_read: frozenset[str] = frozenset()
