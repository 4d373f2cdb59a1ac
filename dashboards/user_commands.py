"""`gaoxin user`: the accounts that sign in to the web."""

from typing import Annotated

import typer

from dashboards import opening
from dashboards.console import OPERATOR, account, settings_of
from twin import access
from twin.access import Role
from twin.clock import SystemClock, local
from twin.ledger import users

app = typer.Typer(help="The accounts that sign in to the web.", no_args_is_help=True)

_NAME = Annotated[str, typer.Argument(help="user name")]
_ASK = Annotated[bool, typer.Option("--ask", help="ask for the password; else one is made and printed once")]


@app.command()
def add(
    context: typer.Context,
    name: _NAME,
    role: Annotated[Role, typer.Option(help="what the user may do")] = Role.VIEWER,
    ask: _ASK = False,
    author: OPERATOR = "",
) -> None:
    """Make an account."""
    password = _password(ask)
    with settings_of(context) as settings, opening.ledger_of(settings) as ledger, ledger.transaction() as connection:
        users.add(connection, name, role, password, by=author or account(), at=SystemClock().now())
    _tell(name, password, ask)


@app.command("list")
def list_all(context: typer.Context) -> None:
    """Every account, with its role."""
    with settings_of(context) as settings, opening.ledger_of(settings) as ledger, ledger.reading() as connection:
        for user in users.users(connection):
            state = "" if user.disabled is None else f"  disabled {local(user.disabled):%Y-%m-%d %H:%M}"
            typer.echo(f"{user.name:20}  {user.role:8}  since {local(user.created):%Y-%m-%d}{state}")


@app.command()
def password(context: typer.Context, name: _NAME, ask: _ASK = False, author: OPERATOR = "") -> None:
    """Give an account another password, and end its sessions."""
    made = _password(ask)
    with settings_of(context) as settings, opening.ledger_of(settings) as ledger, ledger.transaction() as connection:
        users.set_password(connection, name, made, by=author or account(), at=SystemClock().now())
    _tell(name, made, ask)


@app.command()
def role(
    context: typer.Context,
    name: _NAME,
    role: Annotated[Role, typer.Argument(help="what the user may do from now on")],
    author: OPERATOR = "",
) -> None:
    """Give an account another role, and end its sessions."""
    with settings_of(context) as settings, opening.ledger_of(settings) as ledger, ledger.transaction() as connection:
        users.set_role(connection, name, role, by=author or account(), at=SystemClock().now())
    typer.echo(f"{name} is now {role}")


@app.command()
def disable(context: typer.Context, name: _NAME, author: OPERATOR = "") -> None:
    """End an account and its sessions; its name stays taken."""
    with settings_of(context) as settings, opening.ledger_of(settings) as ledger, ledger.transaction() as connection:
        users.disable(connection, name, by=author or account(), at=SystemClock().now())
    typer.echo(f"{name} is disabled")


@app.command()
def enable(context: typer.Context, name: _NAME, author: OPERATOR = "") -> None:
    """Take a disabled account back, with the password it had."""
    with settings_of(context) as settings, opening.ledger_of(settings) as ledger, ledger.transaction() as connection:
        users.enable(connection, name, by=author or account(), at=SystemClock().now())
    typer.echo(f"{name} is enabled")


def _password(ask: bool) -> str:
    return str(typer.prompt("password", hide_input=True, confirmation_prompt=True)) if ask else access.made_password()


def _tell(name: str, password: str, asked: bool) -> None:
    typer.echo(f"{name} can sign in" if asked else f"{name} can sign in with the password {password}")
