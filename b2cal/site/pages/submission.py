"""Submitting: the configuration as default, previous and this, and the selection of data."""

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, render_template, request, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from b2cal import loop
from b2cal.core.errors import B2calError, listed
from b2cal.data import Inputs, selection_problems
from b2cal.loop import Act, Choice
from b2cal.model import Calibration, Kind
from b2cal.releases import ConfigProblem
from b2cal.site import acts
from b2cal.site.config_form import PREFIX, Entered, entered, fields, origins, texts_of
from b2cal.site.decided import facts
from b2cal.site.desk import desk, reading, stop_reading, visitor
from b2cal.site.failures import status_of
from b2cal.site.pages.acting import done
from b2cal.site.queries.dossier import calibration_of, last_submission, previous
from b2cal.site.queries.people import full_names
from b2cal.site.queries.runs import Report, report
from b2cal.site.queries.views import view_of

pages = Blueprint("submission", __name__)

Answer = str | Response | tuple[str, int]


@dataclass(frozen=True)
class Would:
    """What a selection would take if it started now."""

    runs: Report
    inputs: Inputs


@pages.get("/calibrations/<int:number>/submit")
def form(number: int) -> Answer:
    it = calibration_of(reading(), number)
    last = last_submission(reading(), number)
    return _form(it, texts_of(last.config) if last is not None else {}, {})


@pages.post("/calibrations/<int:number>/submit")
def submit(number: int) -> Answer:
    db, me, sent = reading(), visitor().username, request.form.to_dict()
    it = calibration_of(db, number)
    texts = {name.removeprefix(PREFIX): text for name, text in sent.items() if name.startswith(PREFIX)}
    if "reset" in sent:  # the button of one key, for browsers without JavaScript
        texts.pop(sent["reset"], None)
        return _form(it, texts, {})
    if "preview" in sent:
        return _preview(it, texts, sent)
    read = entered(it.definition.config_schema, loop.default_config(it), texts)
    if read.problems:
        problems = [ConfigProblem(key, message) for key, message in read.problems.items()]
        return _form(it, texts, read.problems, loop.InvalidConfig(problems))
    stop_reading()  # nobody writes while he reads
    try:
        warning = _submit(number, me, sent, read)
    except loop.Repeated as error:
        return done(str(error), url_for("calibration.page", number=number))
    except B2calError as error:
        wrong = {p.key: p.message for p in error.problems} if isinstance(error, loop.InvalidConfig) else {}
        return _form(calibration_of(reading(), number), texts, wrong, error)
    others = [*facts({"changes": read.changes}, {})]
    others += ["another selection of data"] if _selection(it, sent) is not None else []
    sentence = f"{it.name} is submitted with {', '.join(others) or 'the defaults'}. {warning}"
    return done(sentence.rstrip(), url_for("calibration.page", number=number))


def _submit(number: int, username: str, sent: dict[str, str], read: Entered) -> str:
    """Submit; the answer is what the person must be told about it."""
    seen = acts.seen_version(sent)

    def unit(db: Session) -> str:
        it = calibration_of(db, number)
        choice = Choice(read.changes, _selection(it, sent))
        key = acts.request_key("submit", number, username, sent)
        act = Act(loop.actor(db, username, it), seen, sent.get("reason", "").strip(), key)
        submission = loop.submit(db, number, choice, act)
        return loop.Rejections(loop.ProcessingView(db, it.processing_id), it).repeated_by(submission)

    return desk().database.write(unit)


def _preview(it: Calibration, texts: dict[str, str], sent: dict[str, str]) -> Answer:
    """The form as it was typed, with what its selection would take now."""
    chosen = _selection(it, sent) or {"filters": acts.default_filters(it)}
    view = view_of(reading(), it.processing_id)
    problems = selection_problems(it.processing.release.vocabulary, it.definition.settings, chosen, view.runs)
    if problems:
        return _form(it, texts, {}, loop.InvalidChoice(f"The selection cannot be used: {listed(problems)}."))
    found = loop.inputs_of(view, it, chosen)
    return _form(it, texts, {}, would_take=Would(report([run.to_json() for run in found.runs]), found))


def _selection(it: Calibration, sent: dict[str, str]) -> dict[str, Any] | None:
    """The selection that was typed; None, the default one, if it says the same or was not asked for."""
    if not any(name.startswith("filters.") for name in sent):
        return None
    chosen = acts.selection(sent)
    return None if chosen == {"filters": acts.default_filters(it)} else chosen


def _form(
    it: Calibration,
    texts: dict[str, str],
    wrong: dict[str, str],
    error: B2calError | None = None,
    would_take: Would | None = None,
) -> Answer:
    db = reading()
    settings = it.definition.settings
    before = previous(db, it)
    told = origins(settings["expert_config"], it.carried_over)
    form_fields = fields(it.definition.config_schema, loop.default_config(it), before.config, texts, wrong, told)
    view = view_of(db, it.processing_id)
    button = next((b for b in loop.buttons(view, it, visitor().username) if b.verb is loop.Verb.SUBMIT), None)
    last = last_submission(db, it.id)
    rejections = loop.Rejections(view, it)
    page = render_template(
        "submission.html",
        it=it,
        fields=form_fields,
        previous_name=before.processing,
        last=last,
        names=full_names(db),
        rejection=loop.last_rejection(view, it),
        repeats_rejected=rejections.repeated_by(last) if last is not None else "",
        defaults_were_rejected=rejections.hold_the_defaults(),
        filters={} if it.kind is Kind.COPY else acts.default_filters(it),
        chosen=last.selection if last is not None else {},
        vocabulary=it.processing.release.vocabulary,
        lacks_selection=loop.lacks_selection(it),
        button=button,
        would_take=would_take,
        sent=request.form,
        error=error,
    )
    return page if error is None else (page, status_of(error))
