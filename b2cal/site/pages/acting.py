"""Doing something to a calibration or a processing: what will happen, then the form, then the verb."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from b2cal import loop
from b2cal.core.errors import B2calError
from b2cal.core.ids import new_token
from b2cal.loop import Act, ProcessingVerb, Verb
from b2cal.model import Person
from b2cal.site import acts
from b2cal.site.desk import at, desk, reading, stop_reading, visitor
from b2cal.site.failures import status_of
from b2cal.site.queries.dossier import calibration_of
from b2cal.site.queries.views import view_named, view_of
from b2cal.site.uploads import brought

pages = Blueprint("acting", __name__)
processing_pages = Blueprint("processing_acting", __name__)

_OF_MANY = {acts.EXTEND_ALL: "Extend the windows", acts.VETO_SUBSYSTEM: "Veto a subsystem"}

Answer = str | Response | tuple[str, int]


@pages.get("/calibrations/<int:number>/do/<verb>")
def form(number: int, verb: str) -> Answer:
    return _form(number, _verb(verb))


@pages.post("/calibrations/<int:number>/do/<verb>")
def act(number: int, verb: str) -> Answer:
    wanted, me = _verb(verb), visitor().username
    sent = request.form.to_dict()
    try:
        seen = acts.seen_version(sent)
        key = acts.request_key(wanted.value, number, me, {**sent, **_names_of_files()})
        made = _brought(number, seen, key) if wanted is Verb.REPLACE else None
        if wanted is Verb.RETRY_JOBS:
            loop.check_kept_outputs(desk().workplace, number)

        def unit(db: Session) -> str:
            it = calibration_of(db, number)
            asked = Act(loop.actor(db, me, it), seen, sent.get("reason", "").strip(), key)
            if made is not None:
                loop.replace(db, number, made, asked)
            else:
                acts.carry_out(db, number, wanted, asked, sent)
            return it.name

        stop_reading()  # nobody writes while he reads
        name = desk().database.write(unit)
    except loop.Repeated as error:
        return done(str(error), url_for("calibration.page", number=number))
    except B2calError as error:
        stop_reading()
        return _form(number, wanted, error)
    return done(f"{name} {acts.WORDING[wanted].done}.", url_for("calibration.page", number=number))


@processing_pages.get("/processings/<name>/do/<verb>", endpoint="form")
def processing_form(name: str, verb: str) -> Answer:
    return _processing_form(name, verb)


@processing_pages.post("/processings/<name>/do/<verb>", endpoint="act")
def processing_act(name: str, verb: str) -> Answer:
    me, sent = visitor().username, request.form.to_dict()
    wording = _processing_wording(verb)
    stop_reading()  # nobody writes while he reads
    try:
        seen = acts.seen_version(sent)
        room = loop.see_that_ready(desk().workplace, name, me) if verb == ProcessingVerb.ACTIVATE else None

        def unit(db: Session) -> None:
            view = loop.ProcessingView.of(db, name)
            key = acts.request_key(verb, view.processing.id, me, sent)
            asked = Act(loop.manager(db, me), seen, sent.get("reason", "").strip(), key)
            if verb in _OF_MANY:
                acts.carry_out_on_many(db, view, verb, asked, sent)
            elif room is not None:
                loop.activate(db, view.processing.id, room, asked)
            else:
                acts.carry_out_on_processing(db, view.processing.id, ProcessingVerb(verb), asked, sent)

        desk().database.write(unit)
    except loop.Repeated as error:
        return done(str(error), url_for("processing.page", name=name))
    except B2calError as error:
        stop_reading()
        return _processing_form(name, verb, error)
    return done(f"{name} {wording.done}.", url_for("processing.page", name=name))


def done(text: str, address: str) -> Response:
    """Tell what was done, on the page to go on with."""
    flash(text)
    if "HX-Request" in request.headers:
        return Response("", headers={"HX-Redirect": address})
    return redirect(address, code=303)


def _names_of_files() -> dict[str, str]:
    return {f"file {file.filename}": "" for file in request.files.getlist("files")}


def _brought(number: int, seen: int, key: str) -> loop.ByHand:
    """The payloads that this request brings, checked."""
    it = calibration_of(reading(), number)
    by = loop.actor(reading(), visitor().username, it)
    stop_reading()
    with brought(request.files.getlist("files"), request.form.get("tag", "")) as source:
        reason = request.form.get("reason", "").strip()
        return loop.brought_by_hand(desk().workplace, number, source, Act(by, seen, reason, key))


def _form(number: int, verb: Verb, error: B2calError | None = None) -> Answer:
    db = reading()
    it = calibration_of(db, number)
    view = view_of(db, it.processing_id)
    buttons = {button.verb: button for button in loop.buttons(view, it, visitor().username)}
    obstacle = loop.in_the_way(view, it, verb, visitor().username)
    page = render_template(
        "act.html",
        it=it,
        verb=verb,
        label=next(rule.label for rule in loop.RULES if rule.verb is verb),
        wording=acts.WORDING[verb],
        obstacle=obstacle,
        needs_reason=verb in buttons and buttons[verb].needs_reason,
        others=list(buttons.values()),
        why=loop.why(view, it, at()),
        consequences=loop.consequences(view, it.name) if verb in acts.CONSEQUENCES and not obstacle else [],
        waiting=[other.name for other in view.after(it.name) if other.state == "submitted"],
        people=db.scalars(select(Person).order_by(Person.full_name)).all()
        if verb in (Verb.NAME_DEPUTY, Verb.REASSIGN)
        else [],
        tags=loop.fitting_tags(view, [view.calibrations[it.name]]) if verb in (Verb.REPLACE, Verb.VETO) else [],
        redone=loop.redone(db, it) if verb is Verb.RETRY_JOBS and not obstacle else None,
        filters=acts.default_filters(it) if verb is Verb.SELECT else {},
        most_bytes=desk().settings.loop.by_hand_bytes,
        vocabulary=it.processing.release.vocabulary,
        sent=request.form,
        error=error,
    )
    return page if error is None else (page, status_of(error))


def _processing_form(name: str, verb: str, error: B2calError | None = None) -> Answer:
    db = reading()
    view = view_named(db, name)
    it, vetoes = view.processing, verb == acts.VETO_SUBSYSTEM
    buttons = {button.verb.value: button for button in loop.processing_buttons(db, it, visitor().username)}
    obstacle = (
        acts.in_the_way_of_many(db, view, verb, visitor().username)
        if verb in _OF_MANY
        else loop.in_the_way_of_processing(db, it, ProcessingVerb(verb), visitor().username)
    )
    wording = _processing_wording(verb)
    room = _room(name, verb) if obstacle is None else None
    page = render_template(
        "act_processing.html",
        it=it,
        verb=verb,
        label=_OF_MANY.get(verb) or next(rule.label for rule in loop.PROCESSING_RULES if rule.verb == verb),
        wording=wording,
        n_finished=sum(one.state in loop.FINISHED for one in view.calibrations.values()),
        n_calibrations=len(view.calibrations),
        jobs=loop.together(it.jobs for it in loop.stages_of(db, [attempt.id for attempt in view.attempts.values()])),
        obstacle=obstacle,
        once=new_token(),
        needs_reason=vetoes or (verb in buttons and buttons[verb].needs_reason) or (room is not None and room.is_short),
        room=room,
        subsystems=loop.subsystems(view) if vetoes else [],
        tags=_tags_for_subsystems(view) if vetoes else [],
        sent=request.form,
        error=error,
    )
    return page if error is None else (page, status_of(error))


def _verb(text: str) -> Verb:
    if text not in acts.WORDING:
        raise loop.NotFound(f"There is nothing called {text!r} to do.", hint="Use the buttons of the page.")
    return Verb(text)


def _processing_wording(verb: str) -> acts.Wording:
    if verb == acts.EXTEND_ALL:
        return acts.EXTEND_WORDING
    if verb == acts.VETO_SUBSYSTEM:
        return acts.VETO_WORDING
    if verb not in acts.PROCESSING_WORDING:
        raise loop.NotFound(f"There is nothing called {verb!r} to do.", hint="Use the buttons of the page.")
    return acts.PROCESSING_WORDING[ProcessingVerb(verb)]


def _room(name: str, verb: str) -> loop.Room | None:
    """The room for what a processing will write, where that is of interest."""
    return loop.room_for(desk().workplace, name) if verb == ProcessingVerb.ACTIVATE else None


def _tags_for_subsystems(view: loop.ProcessingView) -> list[str]:
    """Global tags that can stand in for all of a subsystem; which one is chosen in the same form."""
    of_each = [
        loop.fitting_tags(view, [view.calibrations[name] for name in subsystem.calibrations])
        for subsystem in loop.subsystems(view)
    ]
    return list(dict.fromkeys(name for tags in of_each for name in tags))
