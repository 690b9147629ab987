"""`b2cal doctor`: what b2cal depends on, what is wrong with it, and what to do."""

import errno
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from b2cal import data, loop
from b2cal.conditions import PayloadStore, tag_entries
from b2cal.core.clock import SystemClock
from b2cal.core.errors import B2calError
from b2cal.core.iov import overlaps
from b2cal.loop import Finding, Health
from b2cal.model import CopyState, Database, FileCopy, GlobalTag, Outbox, Payload, now, schema
from b2cal.settings import Settings, SettingsRefused

from .centre import asked
from .components import Address, components
from .desk import Desk, pass_desk, schema_remedy, trouble
from .finding import SIGNS
from .ports import listeners, refusal, taken
from .processes import has_open

_SKEW_ALLOWED = timedelta(seconds=2)


@click.command()
@pass_desk
def doctor(desk: Desk) -> None:
    """Check all that b2cal needs, from disk and database to site and centres. Exit code 1 if something is ill."""
    findings = list(examine(desk))
    desk.show([asdict(finding) for finding in findings], lambda: _tell(desk, findings))
    if any(finding.health is Health.ILL for finding in findings):
        sys.exit(1)


def examine(desk: Desk) -> Iterator[Finding]:
    """Look at everything; what depends on something ill is left out."""
    try:
        settings = desk.settings
    except SettingsRefused as error:
        yield Finding("settings", Health.ILL, str(error), error.hint)
        return
    yield Finding("settings", Health.WELL, f"home is {settings.folder('')}")
    yield _disk(settings)
    yield _privacy(settings)
    for component in components(settings):
        if component.address is not None:
            yield _port(component.name, component.address, settings.folder("run"))
    looked: list[Finding] = []
    try:
        looked.extend(look(settings, desk.workplace.database) for look in _LOOKS)  # those before an error stay
        looked.extend(_centres(settings, desk.workplace.database))
        url = desk.workplace.database.engine.url.render_as_string()
        yield Finding("database", Health.WELL, f"{url} answers")
    except (B2calError, DBAPIError) as error:
        told = trouble(error, settings) if isinstance(error, DBAPIError) else error
        yield Finding("database", Health.ILL, str(told), told.hint)
    yield from looked
    for name, storage in settings.storages.items():
        yield from loop.storage_findings(settings, name, SystemClock().now())
        if storage.tape:
            yield loop.tape_finding(name, storage)


def _centres(settings: Settings, database: Database) -> Iterator[Finding]:
    """The batch systems of all centres, also of those that an active processing has chosen and nobody describes."""
    with database.read() as db:
        in_use = loop.workloads(db)
    for name, objects in asked(settings, database, in_use).items():
        yield loop.batch_finding(name, objects)


def _disk(settings: Settings) -> Finding:
    folder = settings.folder("")
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK):
        return Finding("disk", Health.ILL, f"{folder} cannot be written", "Make it writable, or set B2CAL_HOME.")
    free = shutil.disk_usage(folder).free
    says = f"{loop.bytes_in_words(free)} free in {folder}"
    if free < settings.data.free_bytes:
        return Finding("disk", Health.WARNING, says, "Make room: attempts and payloads are written there.")
    return Finding("disk", Health.WELL, says)


def _privacy(settings: Settings) -> Finding:
    home = settings.folder("")
    if home.exists() and home.stat().st_mode & 0o077:
        says = f"others may look into {home}, where hashes of passwords and keys lie"
        return Finding("privacy", Health.WARNING, says, f"chmod 700 {home}")
    return Finding("privacy", Health.WELL, "nobody else may look into the home folder")


def _port(who: str, address: Address, marks: Path) -> Finding:
    what, port = f"port of {who}", f"port {address.port} of {address.host}"
    why = refusal(address)
    if why is None:
        return Finding(what, Health.WELL, f"{port} is free ({address.setting})")
    if why.errno != errno.EADDRINUSE:
        return Finding(what, Health.ILL, f"cannot listen on {port}: {taken(address)}", address.remedy)
    mark = (marks / f"{who}.mark").resolve()
    if any(has_open(process, mark) for process in listeners(address.port)):
        return Finding(what, Health.WELL, f"the {who} of this home listens on {port} ({address.setting})")
    says = f"not this home's b2cal listens on {port}, but another: {taken(address)}"
    return Finding(what, Health.WARNING, says, f"`b2cal up` will be refused here. {address.remedy}")


def _schema(_settings: Settings, database: Database) -> Finding:
    present, newest = schema(database)
    if present != newest:
        says, remedy = f"is {present}, this b2cal needs {newest}", schema_remedy(present, newest)
        return Finding("schema", Health.ILL, says, f"{remedy[0].upper()}{remedy[1:]}.")
    return Finding("schema", Health.WELL, f"newest ({newest})")


def _clock(_settings: Settings, database: Database) -> Finding:
    with database.read() as db:
        told = db.execute(text("SELECT CURRENT_TIMESTAMP")).scalar_one()
        here = now(db)
    there = told if isinstance(told, datetime) else datetime.fromisoformat(str(told))
    skew = abs(here - (there if there.tzinfo else there.replace(tzinfo=UTC)))
    says = f"{skew.total_seconds():.1f} s off the database's"
    if skew > _SKEW_ALLOWED:
        return Finding("clock", Health.WARNING, says, "Set both machines by NTP, and the database's zone to UTC.")
    return Finding("clock", Health.WELL, says)


def _store(settings: Settings, database: Database) -> Finding:
    store = PayloadStore(settings.store)
    with database.read() as db:
        identities = db.scalars(select(Payload.identity)).all()
    lost = [identity for identity in identities if not store.has(identity)]
    if lost:
        says = f"{len(lost)} of {len(identities)} payload files are missing, {lost[0][:12]} first"
        return Finding("payloads", Health.ILL, says, f"Restore them into {settings.store} from the backup.")
    return Finding("payloads", Health.WELL, f"{len(identities)} files, none missing")


def _tags(_settings: Settings, database: Database) -> Finding:
    with database.read() as db:
        tags = db.scalars(select(GlobalTag)).all()
        for tag in tags:
            entries = tag_entries(db, tag.id)
            for name in {entry.name for entry in entries}:
                twice = overlaps(entry.iov for entry in entries if entry.name == name)
                if twice:
                    says = f"{name} in {tag.name} has two payloads for {twice[0]}"
                    return Finding("tags", Health.ILL, says, "Report this: b2cal never writes such a tag.")
    return Finding("tags", Health.WELL, f"{len(tags)}, without overlaps")


def _agent(_settings: Settings, database: Database) -> Finding:
    with database.read() as db:
        holder = loop.agent_at_work(db)
    if holder is None:
        return Finding("agent", Health.WARNING, "does not run: no job is started", "`b2cal up` starts it.")
    return Finding("agent", Health.WELL, f"runs as {holder}")


def _presence(_settings: Settings, database: Database) -> Finding:
    with database.read() as db:
        seen_at, at = loop.site_seen_at(db), now(db)
    if seen_at is None:
        return Finding("site", Health.WELL, "has not run in this home yet")
    says = f"last seen {loop.spoken(at - seen_at)} ago"
    if at - seen_at > 2 * loop.SIGN_EVERY:
        says = f"{says}: no window ends while it is away for long"
        return Finding("site", Health.WARNING, says, "`b2cal up` starts it.")
    return Finding("site", Health.WELL, f"{says}; it leaves a sign every {loop.spoken(loop.SIGN_EVERY)}")


def _outbox(_settings: Settings, database: Database) -> Finding:
    failing = (
        select(Outbox)
        .where(Outbox.sent_at.is_(None), Outbox.tries > 0)
        .order_by(Outbox.given_up_at.is_(None), Outbox.id)
    )
    with database.read() as db:
        rows = db.scalars(failing).all()
    if not rows:
        return Finding("outbox", Health.WELL, "nothing failed to be delivered")
    given_up = sum(row.given_up_at is not None for row in rows)
    first = rows[0]
    says = f"{len(rows)} not delivered, {given_up} of them given up; a {first.kind} about {first.about}: {first.error}"
    if given_up:
        return Finding("outbox", Health.ILL, says, "Remove the cause, then `b2cal outbox retry`.")
    return Finding("outbox", Health.WARNING, says, "They are tried again; `b2cal outbox list` shows all.")


def _incidents(_settings: Settings, database: Database) -> Finding:
    with database.read() as db:
        incidents = loop.open_incidents(db)
    if not incidents:
        return Finding("incidents", Health.WELL, "no storm of failed jobs, no host in trouble")
    says = f"{len(incidents)} not over; the oldest: {incidents[0].reason}"
    do = "Remove the cause; a probe then ends it by itself. `b2cal centre status` shows all."
    return Finding("incidents", Health.WARNING, says, do)


def _arrival(_settings: Settings, database: Database) -> Finding:
    with database.read() as db:
        watched = data.watches(db)
    failing = [it for it in watched if it.failing_since is not None]
    if failing:
        first = min(failing, key=lambda it: it.failing_since or it.begun_at)
        says = f"{len(failing)} of {len(watched)} watched folders cannot be scanned; since"
        says = f"{says} {first.failing_since:%Y-%m-%d %H:%M} UTC: {first.error}"
        return Finding("arrival", Health.WARNING, says, "It is tried on; `b2cal data watch list` shows all.")
    return Finding("arrival", Health.WELL, f"{len(watched)} folders are watched")


def _expiry(_settings: Settings, database: Database) -> Finding:
    with database.read() as db:
        found, at = loop.all_expiring(db), now(db)
    if found:
        more = f" And those of {len(found) - 1} more." if found[1:] else ""
        do = "Let their storage keep them longer and say so by `b2cal data expire`, or finish before."
        return Finding("expiry", Health.WARNING, f"{min(found, key=lambda it: it.at).told(at)}{more}", do)
    return Finding("expiry", Health.WELL, "no inputs of what goes on expire soon")


def _copies(_settings: Settings, database: Database) -> Finding:
    with database.read() as db:
        failed = db.scalars(select(FileCopy).where(FileCopy.state == CopyState.FAILED).order_by(FileCopy.id)).all()
    if failed:
        says = f"{len(failed)} files could not be copied to tape; {failed[0].target}: {failed[0].error}"
        return Finding("copies", Health.WARNING, says, "They are tried again; `b2cal data copies` shows all.")
    return Finding("copies", Health.WELL, "nothing failed to be copied to tape")


_LOOKS: tuple[Callable[[Settings, Database], Finding], ...] = (
    _schema,
    _clock,
    _store,
    _tags,
    _agent,
    _presence,
    _outbox,
    _incidents,
    _arrival,
    _expiry,
    _copies,
)


def _tell(desk: Desk, findings: list[Finding]) -> None:
    for finding in findings:
        desk.marked(*SIGNS[finding.health], f"{finding.what}: {finding.says}")
        if finding.do:
            desk.console.print(f"    {finding.do}")
