"""The rules of the loop as data: who may do what to a calibration, from which state to which.

Guards, the buttons of the pages, the texts of refusals, the diagram in the docs and the model of the tests all come
from `RULES`; change a cell here and they follow.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum

from b2cal.model import Kind, ProcessingState, Role, State

EXPERT, DEPUTY, MANAGER, LOOP = Role.EXPERT, Role.DEPUTY, Role.MANAGER, Role.LOOP
OWNERS = frozenset({EXPERT, DEPUTY, MANAGER})

OPEN, SUBMITTED, RUNNING, VALIDATING, REVIEW, SIGNED_OFF, VETOED, FAILED = State
PLANNED, ACTIVE, COMPLETE, PUBLISHED, CANCELLED = ProcessingState
FINISHED = frozenset({SIGNED_OFF, VETOED})
READ_DATA = frozenset({Kind.CALIBRATE, Kind.PRODUCE})
MAKE_PAYLOADS = frozenset({Kind.CALIBRATE, Kind.COPY})


class Verb(StrEnum):
    """What can be done to a calibration."""

    SUBMIT = "submit"
    WITHDRAW = "withdraw"
    START = "start"
    ENDED = "ended"
    JUDGED = "judged"
    SIGN_OFF = "sign_off"
    REJECT = "reject"
    REPLACE = "replace"
    RESTART = "restart"
    VETO = "veto"
    LIFT = "lift"
    KEEP = "keep"
    GO_ON = "go_on"
    SELECT = "select"
    REASSIGN = "reassign"
    NAME_DEPUTY = "name_deputy"
    EXTEND = "extend"
    CANCEL_JOBS = "cancel_jobs"
    RETRY_JOBS = "retry_jobs"


class Reason(StrEnum):
    """Whether a verb wants a reason in words."""

    NEEDED = "needed"
    WELCOME = "welcome"


NEEDED = Reason.NEEDED


@dataclass(frozen=True)
class Rule:
    """`who` may do `verb` to a calibration of one of `kinds` in one of the states `at`.

    It then is in one of `to` (none: unchanged).
    """

    verb: Verb
    at: AbstractSet[State]
    to: tuple[State, ...]
    who: AbstractSet[Role]
    label: str
    reason: Reason = Reason.WELCOME
    kinds: AbstractSet[Kind] = frozenset(Kind)


RULES = (
    #    verb           at                                    to                    who may           button
    Rule(Verb.SUBMIT,   {OPEN},                               (SUBMITTED,),         OWNERS | {LOOP},  "Submit"),
    Rule(Verb.WITHDRAW, {SUBMITTED},                          (OPEN,),              OWNERS | {LOOP},  "Withdraw"),
    Rule(Verb.START,    {SUBMITTED},                          (RUNNING,),           {LOOP},           "Start"),
    Rule(Verb.ENDED,    {RUNNING},                            (VALIDATING, FAILED), {LOOP},           "End"),
    Rule(Verb.JUDGED,   {VALIDATING},                         (REVIEW, FAILED),     {LOOP},           "Judge"),
    Rule(Verb.SIGN_OFF, {REVIEW},                             (SIGNED_OFF,),        OWNERS | {LOOP},  "Sign off"),
    Rule(Verb.REJECT,   {FAILED, REVIEW, SIGNED_OFF},         (OPEN,),              OWNERS,           "Reject", NEEDED),
    Rule(Verb.REPLACE,  {FAILED, REVIEW, SIGNED_OFF},         (VALIDATING,),      {EXPERT, MANAGER}, "Replace", NEEDED,
         MAKE_PAYLOADS),
    Rule(Verb.RETRY_JOBS, {FAILED},                           (RUNNING, VALIDATING), OWNERS,        "Retry failed jobs",
         kinds=READ_DATA),
    Rule(Verb.RETRY_JOBS, {RUNNING},                          (),                   OWNERS,        "Retry failed jobs",
         kinds=READ_DATA),
    Rule(Verb.RESTART,  {RUNNING, VALIDATING, FAILED, REVIEW}, (SUBMITTED,),        OWNERS | {LOOP},  "Restart"),
    Rule(Verb.RESTART,  {SIGNED_OFF},                         (SUBMITTED,),         {MANAGER},       "Restart", NEEDED),
    Rule(Verb.CANCEL_JOBS, {RUNNING},                         (FAILED,),            OWNERS,           "Cancel its jobs",
         NEEDED, READ_DATA),
    Rule(Verb.VETO,     set(State) - {VETOED},                (VETOED,),            {MANAGER},        "Veto", NEEDED),
    Rule(Verb.LIFT,     {VETOED},                             (OPEN,),              {MANAGER},        "Lift the veto"),
    Rule(Verb.KEEP,     {SIGNED_OFF},                         (),                   {MANAGER},        "Keep", NEEDED),
    Rule(Verb.GO_ON,    {SUBMITTED},                          (),                   {MANAGER},        "Go on", NEEDED,
         READ_DATA),
    Rule(Verb.SELECT,   {OPEN},                               (),                   {MANAGER},        "Select data",
         kinds=READ_DATA),
    Rule(Verb.REASSIGN, set(State),                           (),                   {MANAGER},        "Reassign"),
    Rule(Verb.NAME_DEPUTY, set(State),                        (),                 {EXPERT, MANAGER}, "Name a deputy"),
    Rule(Verb.EXTEND,   {OPEN},                               (),                   {MANAGER, LOOP},  "Extend"),
)  # fmt: skip


class ProcessingVerb(StrEnum):
    """What can be done to a processing."""

    ACTIVATE = "activate"
    COMPLETE = "complete"
    REOPEN = "reopen"
    PUBLISH = "publish"
    CANCEL = "cancel"
    HOLD = "hold"
    RELEASE = "release"
    TAKE_OVER = "take_over"


@dataclass(frozen=True)
class ProcessingRule:
    """The same for a processing."""

    verb: ProcessingVerb
    at: AbstractSet[ProcessingState]
    to: ProcessingState | None
    who: AbstractSet[Role]
    label: str
    reason: Reason = Reason.WELCOME


GOING = frozenset({ACTIVE, COMPLETE})
OVER = frozenset({PUBLISHED, CANCELLED})
PROCESSING_RULES = (
    #              verb                     at                      to         who may          button
    ProcessingRule(ProcessingVerb.ACTIVATE, {PLANNED},              ACTIVE,    {MANAGER},       "Activate"),
    ProcessingRule(ProcessingVerb.COMPLETE, {ACTIVE},               COMPLETE,  {LOOP},          "Complete"),
    ProcessingRule(ProcessingVerb.REOPEN,   {COMPLETE},             ACTIVE,    OWNERS | {LOOP}, "Reopen"),
    ProcessingRule(ProcessingVerb.PUBLISH,  {COMPLETE},             PUBLISHED, {MANAGER, LOOP}, "Publish"),
    ProcessingRule(ProcessingVerb.CANCEL,   {PLANNED, *GOING},      CANCELLED, {MANAGER},       "Cancel", NEEDED),
    ProcessingRule(ProcessingVerb.HOLD,     GOING,                  None,      {MANAGER},       "Hold", NEEDED),
    ProcessingRule(ProcessingVerb.RELEASE,  GOING,                  None,      {MANAGER},       "Release"),
    ProcessingRule(ProcessingVerb.TAKE_OVER, {PLANNED, *GOING},     None,      {MANAGER},       "Take over", NEEDED),
)  # fmt: skip


def rules_for(verb: Verb) -> tuple[Rule, ...]:
    """All rows of one verb."""
    return tuple(rule for rule in RULES if rule.verb is verb)


def rule_at(verb: Verb, state: State) -> Rule | None:
    """The row of `verb` that holds in `state`, if there is one."""
    return next((rule for rule in RULES if rule.verb is verb and state in rule.at), None)


def processing_rule(verb: ProcessingVerb) -> ProcessingRule:
    """The row of a processing's verb."""
    return next(rule for rule in PROCESSING_RULES if rule.verb is verb)
