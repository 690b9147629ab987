"""The rules of the calibration loop. Only this room changes a state; nothing reaches behind this door."""

from b2cal.model import job_in_words, stage_in_words

from .actors import THE_LOOP, Actor, actor, manager
from .advance import Progress, advance
from .agents import AGENT, agent_at_work
from .asking import asks_somebody
from .buttons import Button, buttons, processing_buttons
from .by_hand import ByHand, FromTag, LocalDatabase, PayloadFiles, Source, brought_by_hand, fitting_tags
from .calendar import spoken_days
from .defaults import default_config
from .errors import Conflict, InvalidChoice, InvalidConfig, NotAllowed, NotFound, Repeated
from .graph import write_graph
from .inputs import inputs_of, lacks_selection, productions, selection_by_default
from .job_table import JobFilter, JobOrder, JobPage, attempts_of, attempts_that_count, job_page, other_tries
from .jobs import Jobs, NextTry, StageJobs, by_attempt, next_try, stages_of, together, tried_again_at
from .named import managers, person_named, release_named, without_password
from .obstacles import in_the_way, in_the_way_of_processing, nothing_changes
from .outages import SIGN_EVERY, site_is_there, site_seen_at
from .people import let_in, rights_decided, shut_out
from .processings import NewProcessing, activate, cancel, create_processing, data_arrived, hold, release, take_over
from .publication import (
    Preview,
    advance_processing,
    publication_preview,
    publish,
    published_before,
    why_unpublished,
)
from .rejections import Rejections, last_rejection, rejected_by
from .rules import FINISHED, GOING, OVER, PROCESSING_RULES, RULES, ProcessingRule, ProcessingVerb, Reason, Rule, Verb
from .signals import signals
from .tags import add_to_tag, copy_tag, create_tag, set_tag_state
from .transition import Act
from .verbs import (
    Choice,
    consequences,
    extend,
    go_on,
    keep,
    lift,
    name_deputy,
    reassign,
    reject,
    replace,
    restart,
    select_data,
    sign_off,
    submit,
    veto,
    withdraw,
)
from .vetoes import Subsystem, begin_standing_veto, end_standing_veto, standing_vetoes, subsystems, veto_subsystem
from .view import Freshness, ProcessingView, Standing
from .waiting import Why, restarts_itself, why
from .windows_and_reminders import asks_for_inputs, asks_to_be_submitted, inputs_asked_at, spoken, without_durations
from .words import FRESHNESS_MEANINGS, PROCESSING_MEANINGS, STATE_MEANINGS, state_in_words, states_in_words
from .workplace import Workplace, open_workplace

__all__ = [
    "AGENT",
    "FINISHED",
    "FRESHNESS_MEANINGS",
    "GOING",
    "OVER",
    "PROCESSING_MEANINGS",
    "PROCESSING_RULES",
    "RULES",
    "SIGN_EVERY",
    "STATE_MEANINGS",
    "THE_LOOP",
    "Act",
    "Actor",
    "Button",
    "ByHand",
    "Choice",
    "Conflict",
    "Freshness",
    "FromTag",
    "InvalidChoice",
    "InvalidConfig",
    "JobFilter",
    "JobOrder",
    "JobPage",
    "Jobs",
    "LocalDatabase",
    "NewProcessing",
    "NextTry",
    "NotAllowed",
    "NotFound",
    "PayloadFiles",
    "Preview",
    "ProcessingRule",
    "ProcessingVerb",
    "ProcessingView",
    "Progress",
    "Reason",
    "Rejections",
    "Repeated",
    "Rule",
    "Source",
    "StageJobs",
    "Standing",
    "Subsystem",
    "Verb",
    "Why",
    "Workplace",
    "activate",
    "actor",
    "add_to_tag",
    "advance",
    "advance_processing",
    "agent_at_work",
    "asks_for_inputs",
    "asks_somebody",
    "asks_to_be_submitted",
    "attempts_of",
    "attempts_that_count",
    "begin_standing_veto",
    "brought_by_hand",
    "buttons",
    "by_attempt",
    "cancel",
    "consequences",
    "copy_tag",
    "create_processing",
    "create_tag",
    "data_arrived",
    "default_config",
    "end_standing_veto",
    "extend",
    "fitting_tags",
    "go_on",
    "hold",
    "in_the_way",
    "in_the_way_of_processing",
    "inputs_asked_at",
    "inputs_of",
    "job_in_words",
    "job_page",
    "keep",
    "lacks_selection",
    "last_rejection",
    "let_in",
    "lift",
    "manager",
    "managers",
    "name_deputy",
    "next_try",
    "nothing_changes",
    "open_workplace",
    "other_tries",
    "person_named",
    "processing_buttons",
    "productions",
    "publication_preview",
    "publish",
    "published_before",
    "reassign",
    "reject",
    "rejected_by",
    "release",
    "release_named",
    "replace",
    "restart",
    "restarts_itself",
    "rights_decided",
    "select_data",
    "selection_by_default",
    "set_tag_state",
    "shut_out",
    "sign_off",
    "signals",
    "site_is_there",
    "site_seen_at",
    "spoken",
    "spoken_days",
    "stage_in_words",
    "stages_of",
    "standing_vetoes",
    "state_in_words",
    "states_in_words",
    "submit",
    "subsystems",
    "take_over",
    "together",
    "tried_again_at",
    "veto",
    "veto_subsystem",
    "why",
    "why_unpublished",
    "withdraw",
    "without_durations",
    "without_password",
    "write_graph",
]
