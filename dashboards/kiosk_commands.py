"""`gaoxin kiosk`: links by which a screen may look without a person signed in."""

from typing import Annotated

import typer

from dashboards import opening
from dashboards.console import OPERATOR, account, settings_of
from twin.clock import SystemClock, local
from twin.ledger import users

app = typer.Typer(help="Links by which a screen may look, and do nothing else.", no_args_is_help=True)


@app.command()
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="the screen it is for")],
    author: OPERATOR = "",
) -> None:
    """Make a link and print it once: open it on the screen."""
    with settings_of(context) as settings, opening.ledger_of(settings) as ledger, ledger.transaction() as connection:
        token = users.add_link(connection, name, by=author or account(), at=SystemClock().now())
    typer.echo(f"{settings.notices.link}/kiosk/{token}")


@app.command("list")
def list_all(context: typer.Context) -> None:
    """Every link, with who made it."""
    with settings_of(context) as settings, opening.ledger_of(settings) as ledger, ledger.reading() as connection:
        for link in users.links(connection):
            state = "" if link.revoked is None else f"  revoked {local(link.revoked):%Y-%m-%d %H:%M}"
            typer.echo(f"{link.id:4}  {link.name:20}  {link.by}, {local(link.at):%Y-%m-%d}{state}")


@app.command()
def revoke(
    context: typer.Context,
    link: Annotated[int, typer.Argument(help="its number in `gaoxin kiosk list`")],
    author: OPERATOR = "",
) -> None:
    """End a link: its screen is shut out within seconds."""
    with settings_of(context) as settings, opening.ledger_of(settings) as ledger, ledger.transaction() as connection:
        users.revoke_link(connection, link, by=author or account(), at=SystemClock().now())
    typer.echo(f"link {link} is revoked")
