"""`gaoxin incident`: incidents and their reports from the command line."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from dashboards import opening
from dashboards.console import OPERATOR, account, settings_of
from twin import bundle as bundles
from twin.clock import SystemClock, local
from twin.errors import OurError
from twin.ledger import incidents as kept

app = typer.Typer(
    help="Find incidents, hand their reports on, check and take in those of others.", no_args_is_help=True
)

_LANGUAGE = Annotated[Literal["zh", "en"], typer.Option("--lang", help="of the report")]
_NUMBER = Annotated[int, typer.Argument(help="as `list` shows it")]
_FILE = Annotated[Path, typer.Argument(help="a report")]


@app.command("list")
def list_all(
    context: typer.Context, text: Annotated[str, typer.Argument(help="in title, causes or notes; default: all")] = ""
) -> None:
    """Incidents, the latest first."""
    with settings_of(context) as settings, opening.ledger_of(settings) as ledger, ledger.reading() as connection:
        for i in kept.find(connection, kept.Filter(text=text)):
            begin = f"{local(i.begin):%Y-%m-%d %H:%M}"
            typer.echo(f"{i.id:5}  {begin}  {i.level.name.lower():6}  {i.state:6}  {i.title}")


@app.command()
def show(context: typer.Context, incident: _NUMBER) -> None:
    """One incident with its notes and bookmarks."""
    with settings_of(context) as settings, opening.ledger_of(settings) as ledger, ledger.reading() as connection:
        i = kept.get(connection, incident)
        typer.echo(f"{i.id}  {i.title}\n{local(i.begin):%Y-%m-%d %H:%M:%S} to {local(i.end):%Y-%m-%d %H:%M:%S}")
        typer.echo(f"{i.level.name.lower()}, {i.state}, made {i.origin} by {i.by}")
        if i.source:
            typer.echo(f"imported from the report {i.source}")
        if i.causes:
            typer.echo(f"\n{i.causes}")
        for e in kept.entries(connection, incident):
            typer.echo(f"\n{local(e.at):%Y-%m-%d %H:%M:%S}  {e.kind} by {e.by}\n{e.text}")


@app.command()
def export(
    context: typer.Context,
    incident: _NUMBER,
    file: Annotated[Path, typer.Argument(help="to write")],
    lang: _LANGUAGE = "zh",
) -> None:
    """Write the report as one HTML file. With DuckDB the twin must be stopped: while it runs, use its web."""
    from dashboards import incident_record
    from dashboards.report import page

    with settings_of(context) as settings, opening.ledger_of(settings) as ledger:
        registry, now = opening.read_registry(settings), SystemClock().now()
        store = opening.open_store(settings, registry)
        try:
            with ledger.reading() as connection:
                found = kept.get(connection, incident)
            made = incident_record.gather(
                incident_record.Source(ledger, store, registry, settings), found, by=account(), now=now
            )
        finally:
            store.close()
        with ledger.transaction() as connection:
            kept.exported(connection, found, made.digest, by=account(), at=now)
        file.write_text(page.render(made, lang), encoding="utf-8", newline="")
        typer.echo(f"{file}: {file.stat().st_size:,} bytes, SHA-256 {made.digest}")


@app.command("import")
def import_(context: typer.Context, file: _FILE, author: OPERATOR = "") -> None:
    """Take in the report of another installation. No observation enters the store."""
    from dashboards import incident_api

    with settings_of(context) as settings, opening.ledger_of(settings) as ledger:
        text, now = _read(file), SystemClock().now()
        made = incident_api.take_in(ledger, text, by=author or account(), now=now)
        typer.echo(f"incident {made.id}: {made.title}")


@app.command()
def verify(context: typer.Context, file: _FILE) -> None:
    """Are a report's data as they were exported, does its page say what they say, and was it made here? 1 if not."""
    from dashboards import incident_record
    from dashboards.report import page

    with settings_of(context) as settings:
        text = _read(file)
        made = bundles.read(text)
        typer.echo(f"data      whole: SHA-256 {made.digest}")
        same = any(page.render(made, lang) == text.replace("\r\n", "\n") for lang in ("zh", "en"))
        ours = made.record.software == incident_record.software()
        if same:
            typer.echo("page      says what the data say")
        elif ours:
            typer.echo("page      differs from what the data say: do not rely on it")
        else:
            typer.echo(f"page      cannot be compared: written by {made.record.software}")
        with opening.ledger_of(settings) as ledger, ledger.reading() as connection:
            entry = kept.was_exported(connection, made.digest)
        origin = f"exported by {entry.by} at {local(entry.at):%Y-%m-%d %H:%M:%S}" if entry else "not in the audit here"
        typer.echo(f"origin    {origin}")
        if ours and not same:
            raise typer.Exit(1)


def _read(file: Path) -> str:
    try:
        if file.stat().st_size > bundles.LARGEST:
            raise OurError(f"{file}: a report has at most {bundles.LARGEST:,} bytes")
        return file.read_bytes().decode("utf-8", errors="replace")
    except OSError as error:
        raise OurError(f"{file}: cannot be read ({error.strerror})") from None
