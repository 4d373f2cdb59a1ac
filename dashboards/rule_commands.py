"""`gaoxin rules`: the alarm rules as text, and their versions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from dashboards import opening
from dashboards.console import OPERATOR, account, settings_of
from twin import rules as rulebook
from twin.clock import SystemClock, local
from twin.errors import OurError
from twin.ledger import rules as kept
from twin.registry import Registry
from twin.rules import Book, Change, Rule

app = typer.Typer(help="Look at the alarm rules, change them as a file, go back in time.", no_args_is_help=True)

_REASON = Annotated[str, typer.Option(help="why; it is kept with the version")]


@app.command("list")
def list_all(context: typer.Context) -> None:
    """The rules in force."""
    with settings_of(context) as settings, opening.ledger_of(settings) as ledger, ledger.reading() as connection:
        book = kept.current(connection)
        typer.echo(f"version {book.version}, {len(book.rules)} rules")
        for rule in book.rules:
            typer.echo(f"{rule.id:32}  {'' if rule.enabled else '(off) '}{rule.name}")


@app.command()
def export(
    context: typer.Context,
    version: Annotated[int | None, typer.Option(help="an old version; default: the one in force")] = None,
) -> None:
    """The rules as TOML, to be changed and applied."""
    with settings_of(context) as settings, opening.ledger_of(settings) as ledger, ledger.reading() as connection:
        book = kept.current(connection) if version is None else kept.at_version(connection, version)
        typer.echo(rulebook.exported(book), nl=False)


@app.command()
def apply(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="what `export` wrote, changed")],
    reason: _REASON = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would change, and change nothing")] = False,
    base: Annotated[
        int | None, typer.Option(help="the version that the change began at; default: the one the file names")
    ] = None,
    author: OPERATOR = "",
) -> None:
    """Put the rules of a file in force as the next version; those that it does not hold are removed."""
    with settings_of(context) as settings:
        text = _read(file)
        found = rulebook.from_toml(text)
        _sound(opening.read_registry(settings), found, file)
        with opening.ledger_of(settings) as ledger, ledger.transaction() as connection:
            now = kept.current(connection)
            begun = rulebook.exported_version(text) if base is None else base
            _say(rulebook.diff(now, Book(now.version, found)))
            if dry_run:
                typer.echo(f"nothing is changed: version {now.version} is in force")
                return
            try:
                made = kept.commit(
                    connection,
                    found,
                    author=author or account(),
                    reason=reason,
                    base=now.version if begun is None else begun,
                    at=SystemClock().now(),
                )
            except kept.Conflict as conflict:
                typer.echo(f"changed by others since version {begun}:")
                _say(conflict.changes)
                raise
        typer.echo(f"version {made} is in force")


@app.command()
def history(context: typer.Context) -> None:
    """Every version, the newest first: when, by whom and why."""
    with settings_of(context) as settings, opening.ledger_of(settings) as ledger, ledger.reading() as connection:
        for v in kept.versions(connection):
            again = f"  (version {v.restores} again)" if v.restores else ""
            typer.echo(f"{v.version:4}  {local(v.at):%Y-%m-%d %H:%M:%S}  {v.author}: {v.reason}{again}")


@app.command()
def rollback(
    context: typer.Context,
    version: Annotated[int, typer.Argument(help="as `history` shows it")],
    reason: _REASON = "",
    author: OPERATOR = "",
) -> None:
    """Put an old version in force again, as a new version."""
    with settings_of(context) as settings, opening.ledger_of(settings) as ledger, ledger.transaction() as connection:
        now = kept.current(connection)
        _say(rulebook.diff(now, kept.at_version(connection, version)))
        made = kept.roll_back(
            connection, version, author=author or account(), reason=reason, base=now.version, at=SystemClock().now()
        )
        typer.echo(f"version {made} is in force")


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OurError(f"{file}: cannot be read ({error}). `gaoxin rules export > {file}` makes one") from None


def _sound(registry: Registry, rules: Sequence[Rule], file: Path) -> None:
    problems = [problem for rule in rules for problem in rulebook.validate(rule, registry)]
    if problems:
        raise OurError(f"{file}:\n  " + "\n  ".join(problems))


def _say(changes: Sequence[Change]) -> None:
    for c in changes:
        match c.key, c.before, c.after:
            case "", None, _:
                typer.echo(f"+ {c.rule}")
            case "", _, None:
                typer.echo(f"- {c.rule}")
            case _:
                typer.echo(f"  {c.rule}: {c.key} {c.before!r} -> {c.after!r}")
    if not changes:
        typer.echo("no difference")
