"""The closed lists of words that stand in the database."""

from enum import StrEnum


class Step(StrEnum):
    """Steps of the calibration loop, in their order."""

    LOCAL = "local"
    PRE_TRACKING = "pre-tracking"
    ALIGNMENT = "alignment"
    CDST_PRODUCTION = "cdst-production"
    POST_TRACKING = "post-tracking"
    ANALYSIS = "analysis"

    @property
    def order(self) -> int:
        """Position of the step in the loop, from 0."""
        return list(Step).index(self)


class Kind(StrEnum):
    """What a definition does: fits constants, copies curated ones, or produces cDST files."""

    CALIBRATE = "calibrate"
    COPY = "copy"
    PRODUCE = "produce"


class Role(StrEnum):
    """In which capacity somebody acts."""

    EXPERT = "expert"
    DEPUTY = "deputy"
    MANAGER = "manager"
    LOOP = "loop"


class State(StrEnum):
    """Life of a calibration."""

    OPEN = "open"
    SUBMITTED = "submitted"
    RUNNING = "running"
    VALIDATING = "validating"
    REVIEW = "review"
    SIGNED_OFF = "signed_off"
    VETOED = "vetoed"
    FAILED = "failed"

    @property
    def word(self) -> str:
        """As people read it after `it is`: `signed off`, `in review`."""
        return "in review" if self is State.REVIEW else self.value.replace("_", " ")


class ProcessingState(StrEnum):
    """Life of a processing."""

    PLANNED = "planned"
    ACTIVE = "active"
    COMPLETE = "complete"
    PUBLISHED = "published"
    CANCELLED = "cancelled"

    @property
    def word(self) -> str:
        """As people read it after `it is`."""
        return self.value


class ProcessingKind(StrEnum):
    """Prompt: the last IoV stays open. Reprocessing: every IoV ends with the run range."""

    PROMPT = "prompt"
    REPROCESSING = "reprocessing"


class StartPolicy(StrEnum):
    """When a submitted calibration may start: as soon as it is ready, or after the end of the window."""

    READY = "ready"
    DEADLINE = "deadline"


class BarrierPolicy(StrEnum):
    """Whether a calibration waits besides its upstream for everything in the steps before."""

    NONE = "none"
    STEPS = "steps"


class SignOffPolicy(StrEnum):
    """Auto: green signs off, warn and fail ask. Manual: always ask."""

    AUTO = "auto"
    MANUAL = "manual"


class NoVerdictPolicy(StrEnum):
    """What decides on a script that gives no measurements: the generic checks, or a person."""

    GENERIC = "generic"
    ASK = "ask"


class PublishPolicy(StrEnum):
    """Who publishes a complete processing."""

    AUTO = "auto"
    MANUAL = "manual"


class Outcome(StrEnum):
    """With what an attempt ended."""

    CONSTANTS = "constants"
    NOTHING = "nothing"
    FILES = "files"
    REPLACED = "replaced"
    FAILED = "failed"


class TagState(StrEnum):
    """States of a global tag, as in the Belle II conditions database."""

    OPEN = "open"
    TESTING = "testing"
    VALIDATED = "validated"
    PUBLISHED = "published"
    RUNNING = "running"
    INVALID = "invalid"


class DataFormat(StrEnum):
    """Formats of input files; raw is before, the others after the cDST production."""

    RAW = "raw"
    CDST = "cdst"
    MDST = "mdst"
    UDST = "udst"


class Stage(StrEnum):
    """What the jobs of a group do."""

    COLLECT = "collect"
    FIT = "fit"
    PRODUCE = "produce"
    MEASURE = "measure"


class GroupState(StrEnum):
    """Life of a job group: wanted by loop/, carried out by agent/."""

    WANTED = "wanted"
    SUBMITTED = "submitted"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Nothing more will happen to such a group."""
        return self in (GroupState.DONE, GroupState.FAILED, GroupState.CANCELLED)


class JobState(StrEnum):
    """Life of a batch job."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """The job will not change any more."""
        return self in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


class IncidentKind(StrEnum):
    """What an incident is about."""

    STORM = "storm"
    HOST = "host"


class CopyState(StrEnum):
    """How far the copy of a file in a second place is; one that failed is tried again."""

    WANTED = "wanted"
    COPYING = "copying"
    DONE = "done"
    FAILED = "failed"


class Grade(StrEnum):
    """Outcome of a check and of a verdict."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
