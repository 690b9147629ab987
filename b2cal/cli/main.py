"""The command group: what all commands share, and how errors are told."""

import sys
from importlib import import_module
from typing import Any

import click
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from b2cal.core.errors import B2calError

from .desk import INTERRUPTED, Desk, trouble

_COMMANDS = {
    "demo": ("demo", "Run a complete calibration loop on simulated data and show it."),
    "init": ("setup", "Prepare the home folder and the database."),
    "person": ("setup", "People who may log in."),
    "up": ("up", "Run everything: Airflow, agent and site."),
    "doctor": ("doctor", "Check what b2cal depends on; say what is wrong and what to do."),
    "release": ("release", "Releases of calibration scripts."),
    "data": ("data", "Runs and files."),
    "processing": ("processing", "Passes of the loop over a run range."),
    "calibration": ("calibration", "Act on one calibration."),
    "vetoes": ("vetoes", "Standing vetoes: what is left out of every new processing."),
    "why": ("calibration", "Why is it waiting?"),
    "jobs": ("jobs", "Batch jobs of a processing or a calibration."),
    "log": ("log", "What a batch job prints."),
    "centre": ("centre", "Where batch jobs run: whether they answer, and what waits there."),
    "tag": ("tag", "Global tags and what they hold."),
    "settings": ("settings", "All settings with default, range and meaning."),
    "outbox": ("outbox", "Messages and files that could not be delivered."),
}


class _Rooms(click.Group):
    """Loads only the module of the command that is asked for: the others would cost their imports."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f".{_COMMANDS[cmd_name][0]}", __package__)
        command = getattr(module, cmd_name)
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (IntegrityError, DataError):  # it is well: b2cal wanted to write nonsense
            raise
        except DBAPIError as error:
            raise trouble(error, ctx.obj.settings) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(cls=_Rooms, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--as", "username", envvar="B2CAL_USER", help="Act as this person (default: your login name).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs instead of tables for people.")
@click.version_option(package_name="b2cal")
@click.pass_context
def group(ctx: click.Context, username: str | None, as_json: bool) -> None:  # noqa: FBT001 (click passes flags so)
    """b2cal runs a particle detector's calibration loop without anyone pushing it."""
    ctx.obj = Desk(username, as_json=as_json)


def main() -> None:
    """Run the command line; errors are told in one sentence with what to do next.

    Exit codes: 0 done, 1 refused or failed (the message says why), 2 wrong usage, 130 interrupted.
    """
    try:
        group.main(standalone_mode=False)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        sys.exit(INTERRUPTED)
    except B2calError as error:
        console = Desk(None, as_json=False).errors
        console.print(str(error), style="bold red", soft_wrap=True)
        if error.hint:
            console.print(error.hint, soft_wrap=True)
        sys.exit(1)
