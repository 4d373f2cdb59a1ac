"""`gaoxin audit`: who changed what, and whether the record of it is whole."""

import json
from typing import Annotated

import msgspec
import typer

from dashboards import opening
from dashboards.console import settings_of
from twin.clock import local
from twin.errors import OurError
from twin.ledger import audit

app = typer.Typer(help="Who changed what, when and why.", no_args_is_help=True)


@app.command()
def verify(
    context: typer.Context,
    head: Annotated[str, typer.Option(help="what this command said earlier, NUMBER:HASH: must still be so")] = "",
) -> None:
    """Is every entry as it was written? Exit code 1, and the first that is not, if not."""
    with settings_of(context) as settings, opening.ledger_of(settings) as ledger, ledger.reading() as connection:
        verdict = audit.verify(connection, _kept(head) if head else None)
    number, hash = verdict.head
    if verdict.broken is not None:
        typer.secho(f"broken at entry {verdict.broken}: {verdict.why}; sound up to {number}", err=True, fg="red")
        raise typer.Exit(1)
    typer.echo(f"{verdict.entries} entries, all as they were written; keep this head elsewhere:\n{number}:{hash}")


@app.command()
def show(
    context: typer.Context,
    last: Annotated[int, typer.Option(help="the newest so many")] = 20,
    by: Annotated[str | None, typer.Option(help="only of this user")] = None,
    action: Annotated[str | None, typer.Option(help="only those that begin so: rules, alarm, user, …")] = None,
    everything: Annotated[bool, typer.Option("--all", help="export all of it, a line of JSON each")] = False,
) -> None:
    """The newest entries, or all of them as JSON lines."""
    with settings_of(context) as settings, opening.ledger_of(settings) as ledger, ledger.reading() as connection:
        if everything:
            for entry in audit.entries(connection):
                typer.echo(msgspec.json.encode(entry).decode())
            return
        for entry in reversed(audit.latest(connection, by=by, action=action, limit=max(last, 1))):
            typer.echo(
                f"{entry.number:6}  {local(entry.at):%Y-%m-%d %H:%M:%S}  {entry.by}  {entry.action}  {entry.subject}"
            )
            if entry.detail != "{}":
                typer.echo(f"        {json.dumps(json.loads(entry.detail), ensure_ascii=False)}")


def _kept(head: str) -> tuple[int, str]:
    number, _, hash = head.partition(":")
    if not number.isdecimal() or len(hash) != 64:
        raise OurError(f"--head {head}: is like 41:9f2c…, the last line of `gaoxin audit verify`")
    return int(number), hash
