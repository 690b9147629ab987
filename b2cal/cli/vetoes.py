"""`b2cal vetoes`: calibrations that are left out of every processing that is activated."""

import click

from b2cal import loop

from .desk import REASON, Desk, pass_desk


@click.group()
def vetoes() -> None:
    """Standing vetoes: what is left out of every new processing."""


@vetoes.command("list")
@pass_desk
def list_all(desk: Desk) -> None:
    """List those that hold now."""
    with desk.workplace.database.read() as db:
        rows = [(it.name, it.reason, it.begun_by, f"{it.begun_at:%Y-%m-%d}") for it in loop.standing_vetoes(db)]
    keys = ("calibration", "reason", "by", "since")
    desk.show(
        [dict(zip(keys, row, strict=True)) for row in rows],
        lambda: desk.table("Standing vetoes", ("Calibration", "Reason", "By", "Since"), rows),
    )


@vetoes.command()
@click.argument("name")
@REASON
@pass_desk
def begin(desk: Desk, name: str, reason: str) -> None:
    """Leave calibration NAME out of every processing that is activated from now on."""
    desk.write(lambda db: loop.begin_standing_veto(db, name, loop.manager(db, desk.username), reason))
    desk.done(f"{name} is left out of every processing that is activated from now on.", calibration=name)


@vetoes.command()
@click.argument("name")
@REASON
@pass_desk
def end(desk: Desk, name: str, reason: str) -> None:
    """Let calibration NAME take part again; where it was left out it stays so."""
    desk.write(lambda db: loop.end_standing_veto(db, name, loop.manager(db, desk.username), reason))
    desk.done(f"{name} takes part again in processings that are activated from now on.", calibration=name)
