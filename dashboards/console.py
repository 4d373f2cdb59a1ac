"""What every command shares: the settings it was called with, and how an error is said."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from twin.errors import GaoxinError, OurError
from twin.settings import Settings, load


@dataclass(frozen=True)
class Called:
    """What stood before the command's name."""

    config: Path | None


def account() -> str:
    """Who types the command, by the name this machine has for them."""
    try:
        return f"{getpass.getuser()} (command line)"
    except (KeyError, OSError):  # a number without a name, as in a container
        return "command line"


OPERATOR = Annotated[str, typer.Option(help="who does it; default: your account here", show_default=False)]


@contextmanager
def settings_of(context: typer.Context) -> Iterator[Settings]:
    """The settings; an error of ours or theirs becomes one message and exit code 1 (2 when ours), never a traceback."""
    try:
        yield load(context.obj.config)
    except GaoxinError as error:
        typer.secho(f"gaoxin: {error}", err=True, fg="red")
        raise typer.Exit(2 if isinstance(error, OurError) else 1) from None
