"""`b2cal centre`."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click

from b2cal import loop
from b2cal.batch import BatchError, UnknownCentre, backend_of
from b2cal.core.errors import B2calError, sentence
from b2cal.loop import JobWord, Workload
from b2cal.model import Database
from b2cal.settings import Settings

from .desk import Desk, local, pass_desk
from .finding import SIGNS

_KINDS = {"local": "this machine", "htcondor": "HTCondor", "lsf": "LSF", "unknown": "not described"}


@click.group()
def centre() -> None:
    """Where batch jobs run."""


@centre.command()
@pass_desk
def status(desk: Desk) -> None:
    """Ask each centre whether it answers; show its jobs, what waits longest there and why, and its credentials.

    Counted are the jobs of the attempts that count in active processings, as the database knows them. Exit code 1 if an
    active processing has chosen a centre that does not answer, or that b2cal.toml does not describe.
    """
    with desk.workplace.database.read() as db:
        loads, incidents = loop.workloads(db), loop.open_incidents(db)
    objections = asked(desk.settings, desk.workplace.database, {*loads, *(it.centre for it in incidents)})
    found = [
        _told(desk.settings, name, objections[name], loads)
        | {"incidents": [_incident(it) for it in incidents if it.centre == name]}
        | {"credentials": _credentials(desk, name)}
        for name in sorted(objections)
    ]
    desk.show(found, lambda: _tell(desk, found))
    if any(objections[name] for name in loads):
        sys.exit(1)


def _credentials(desk: Desk, name: str) -> list[dict[str, str]]:
    """What is found of the credentials of a centre, as long as it is described."""
    if name not in desk.settings.storages:
        return []
    at = desk.workplace.database.clock.now()
    return [asdict(found) for found in loop.credential_findings(desk.settings, name, at)]


def asked(settings: Settings, database: Database, in_use: Iterable[str]) -> dict[str, B2calError | None]:
    """What each centre of the settings, and of those in use, has against taking jobs."""
    return {name: objection(settings, database, name) for name in dict.fromkeys((*settings.storages, *in_use))}


def objection(settings: Settings, database: Database, name: str) -> B2calError | None:
    """What a centre has against taking jobs, or that nobody describes it; None if it takes them."""
    try:
        backend_of(settings, database, name).ready()
    except (BatchError, UnknownCentre) as error:
        return error
    return None


def _told(settings: Settings, name: str, objection: B2calError | None, loads: Mapping[str, Workload]) -> dict[str, Any]:
    load, described = loads.get(name, loop.NOTHING_TO_DO), settings.centres.get(name)
    return {
        "centre": name,
        "kind": "unknown" if isinstance(objection, UnknownCentre) else described.backend if described else "local",
        "answers": objection is None,
        "says": str(objection or ""),
        "do": objection.hint if objection else "",
        "jobs": {word.value: load.jobs.get(word, 0) for word in JobWord},
        "oldest_waiting": asdict(load.oldest) | {"since": load.oldest.since.isoformat()} if load.oldest else None,
    }


def _incident(it: loop.OpenIncident) -> dict[str, Any]:
    times = {"since": it.since.isoformat(), "next_probe": it.next_probe.isoformat() if it.next_probe else None}
    return asdict(it) | times


def _probes(it: Mapping[str, Any]) -> str:
    """How the probes of an incident stand, in a sentence."""
    if it["next_probe"] is None:
        return f"Probe {it['probes']} is under way."
    before = f"{it['probes']} in vain so far; the next probe" if it["probes"] else "The first probe"
    return f"{before} goes at {local(datetime.fromisoformat(it['next_probe']))}."


def _tell(desk: Desk, found: Sequence[Mapping[str, Any]]) -> None:
    for it in found:
        mark, colour = ("✓", "green") if it["answers"] else ("✗", "red")
        answer = "answers" if it["answers"] else sentence(it["says"])
        desk.marked(mark, colour, f"{it['centre']} ({_KINDS[it['kind']]}): {answer}")
        if it["do"]:
            desk.console.print(f"    {it['do']}")
        counts = ", ".join(f"{number:,} {state}" for state, number in it["jobs"].items() if number)
        desk.console.print(f"    jobs: {counts or 'none'}")
        for credential in it["credentials"]:
            desk.marked(*SIGNS[credential["health"]], f"  {credential['what']}: {credential['says']}")
            if credential["do"]:
                desk.console.print(f"      {credential['do']}")
        for incident in it["incidents"]:
            desk.marked("!", "yellow", f"  {sentence(incident['reason'])} {_probes(incident)}")
        oldest = it["oldest_waiting"]
        if oldest:
            n_jobs = f"{oldest['n_jobs']:,} job{'' if oldest['n_jobs'] == 1 else 's'}"
            of = f"{oldest['processing']}, {oldest['calibration']}, {oldest['stage']}"
            since = local(datetime.fromisoformat(oldest["since"]))
            desk.console.print(f"    waits longest: {n_jobs} of {of}, since {since}. {oldest['why']}")
