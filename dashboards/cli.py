"""The command `gaoxin`."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import msgspec
import typer

from dashboards import node as nodes
from twin.clock import HOUR, SystemClock
from twin.errors import GaoxinError, OurError
from twin.registry import Registry
from twin.settings import Settings, load
from twin.store import Store

if TYPE_CHECKING:
    from layers.roles import Role

app = typer.Typer(
    name="gaoxin",
    help="The operations centre of a city zone: watch it live, replay it, set its alerts.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
layers_app = typer.Typer(help="Look at, check and use map layers.", no_args_is_help=True)
app.add_typer(layers_app, name="layers")

log = logging.getLogger("gaoxin")


@dataclass(frozen=True)
class _State:
    config: Path | None


@app.callback()
def main(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option(help="settings file; default: gaoxin.toml here, if there is one")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="say more")] = False,
) -> None:
    context.obj = _State(config)
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        datefmt="%H:%M:%S",
        stream=sys.stderr,
    )
    for chatty in ("asyncio", "matplotlib", "uvicorn.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


@contextmanager
def _settings(context: typer.Context) -> Iterator[Settings]:
    """The settings; an error of ours or theirs becomes one message and exit code 1 (2 when ours), never a traceback."""
    try:
        yield load(context.obj.config)
    except GaoxinError as error:
        typer.secho(f"gaoxin: {error}", err=True, fg="red")
        raise typer.Exit(2 if isinstance(error, OurError) else 1) from None


@app.command()
def up(context: typer.Context) -> None:
    """Run everything on this machine: broker, simulators, ingest, engine and web."""
    from dashboards import up as supervisor

    with _settings(context) as settings:
        nodes.read_registry(settings)  # a wrong one is said here, before anything runs
        supervisor.run(settings)


@app.command()
def broker(context: typer.Context) -> None:
    """Be the broker: Mosquitto if it is installed, else the embedded one."""
    from ingest import broker as brokers

    with _settings(context) as settings:
        if settings.broker.kind == "outside":
            raise OurError("broker.kind is outside: there is nothing to run here. Choose auto, mosquitto or amqtt.")
        brokers.serve(settings.broker.kind, settings.data / "broker", settings.broker.port)


@app.command()
def node(
    context: typer.Context,
    ingest: bool = True,
    engine: bool = True,
    web: bool = True,
    fill: Annotated[bool, typer.Option(help="fill an empty store with simulated history first")] = False,
) -> None:
    """Run ingest, engine and web in one process, as DuckDB needs it."""
    with _settings(context) as settings:
        _run_node(settings, ingest=ingest, engine=engine, web=web, fill=fill)


@app.command()
def ingest(
    context: typer.Context,
    check: Annotated[
        Path | None, typer.Option(help="say what this mapping of foreign feeds is, or what is wrong with it, and end")
    ] = None,
    sample: Annotated[
        Path | None, typer.Option(help="with --check: messages to try on it, a line of JSON each; 1 if one is refused")
    ] = None,
) -> None:
    """Run ingest alone (needs a store that is a server), or check a mapping of foreign feeds."""
    with _settings(context) as settings:
        if check is not None:
            _check_mapping(settings, check, sample)
        elif sample is not None:
            raise OurError("--sample needs the mapping to try it on: --check mapping.toml --sample file.jsonl")
        else:
            _run_node(settings, engine=False, web=False)


def _check_mapping(settings: Settings, file: Path, sample: Path | None) -> None:
    from ingest import check

    decoder = nodes.make_decoder(settings, nodes.read_registry(settings), file)
    if sample is None:
        typer.echo(check.describe(decoder))
        return
    try:
        lines = sample.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise OurError(f"{sample}: cannot be read ({error}). It holds one message a line: {check.FORM}") from None
    said, whole = check.try_samples(lines, decoder, SystemClock().now())
    typer.echo(said)
    if not whole:
        raise typer.Exit(1)


@app.command()
def engine(context: typer.Context) -> None:
    """Run the engine alone (needs a store that is a server)."""
    with _settings(context) as settings:
        _run_node(settings, ingest=False, web=False)


@app.command()
def serve(context: typer.Context) -> None:
    """Run the web alone (needs a store that is a server)."""
    with _settings(context) as settings:
        _run_node(settings, ingest=False, engine=False)


def _run_node(
    settings: Settings, *, ingest: bool = True, engine: bool = True, web: bool = True, fill: bool = False
) -> None:
    import signal
    import threading

    registry = nodes.read_registry(settings)
    store = nodes.open_store(settings, registry)
    if fill and settings.simulate.on:
        _fill(settings, registry, store)
    made = nodes.Node(settings, registry, store, ingest=ingest, engine=engine, web=web)
    if web:
        import uvicorn

        from dashboards.app import build

        uvicorn.run(
            build(made),
            host=settings.web.host,
            port=settings.web.port,
            log_level="warning",
            ws_ping_interval=20,
            ws_ping_timeout=20,
            # A screen holds its connection for weeks: an ending server must not wait for it
            timeout_graceful_shutdown=2,
        )
        return
    from dashboards.operation import LATE_S, answering

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with answering(settings.monitor, lambda: made.troubles(LATE_S)):
        made.start()
        stop.wait()
    made.stop()


@app.command()
def simulate(
    context: typer.Context,
    speed: Annotated[float | None, typer.Option(help="times faster than real the simulated day runs")] = None,
) -> None:
    """Publish simulated sensors to the broker."""
    from dashboards.operation import answering
    from simulators import publish

    with _settings(context) as settings, answering(settings.monitor):
        publish.run(
            nodes.read_registry(settings),
            settings.broker,
            SystemClock(),
            seed=settings.simulate.seed,
            speed=speed or settings.simulate.speed,
        )


@app.command()
def backfill(
    context: typer.Context,
    hours: Annotated[float, typer.Option(help="how far back from now")] = 24,
) -> None:
    """Fill a past range straight into the store with simulated readings."""
    with _settings(context) as settings:
        registry = nodes.read_registry(settings)
        store = nodes.open_store(settings, registry)
        try:
            end = SystemClock().now()
            _backfill(settings, registry, store, end - round(hours * HOUR), end)
        finally:
            store.close()


def _fill(settings: Settings, registry: Registry, store: Store) -> None:
    """A fill that was interrupted is taken up again over the same range: loading twice is harmless, a hole is not."""
    note = settings.data / "filling.json"
    if note.exists():
        start, end = msgspec.json.decode(note.read_bytes(), type=tuple[int, int])
        log.info("the first fill was interrupted; taking it up again")
    elif settings.simulate.history_h and not store.latest():
        end = SystemClock().now()
        start = end - round(settings.simulate.history_h * HOUR)
        log.info("first start: filling in %g h of simulated history", settings.simulate.history_h)
    else:
        return
    note.write_bytes(msgspec.json.encode((start, end)))
    _backfill(settings, registry, store, start, end)
    note.unlink()


def _backfill(settings: Settings, registry: Registry, store: Store, start: int, end: int) -> None:
    from simulators import backfill as simulated

    def progress(done: float) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r  history {done:4.0%} " + "█" * round(done * 40))
            sys.stderr.flush()

    begun = time.perf_counter()
    rows = simulated.fill(store, registry, seed=settings.simulate.seed, start=start, end=end, progress=progress)
    if sys.stderr.isatty():
        sys.stderr.write("\n")
    log.info("%s observations in %.1f s", f"{rows:,}", time.perf_counter() - begun)


@app.command()
def doctor(context: typer.Context) -> None:
    """Say what this installation has, what it would do and what is wrong."""
    from ingest import broker as brokers

    with _settings(context) as settings:
        registry = nodes.read_registry(settings)
        typer.echo(f"data folder   {settings.data.absolute()}")
        typer.echo(f"devices       {len(registry)} (registry {registry.digest:08x})")
        kind = settings.broker.kind
        program = "outside" if kind == "outside" else brokers.find(kind) or "amqtt (embedded)"
        typer.echo(f"broker        {program}, {settings.broker.host}:{settings.broker.port}")
        store = nodes.open_store(settings, registry)
        try:
            store.check()
            latest = store.latest()
        finally:
            store.close()
        typer.echo(f"store         {settings.store.kind} answers; {len(latest)} of {len(registry)} devices have spoken")
        typer.echo(f"web           http://{settings.web.host}:{settings.web.port}")


_FILE = Annotated[Path, typer.Argument(help="GeoJSON, GeoPackage, Shapefile (also zipped) or CSV of points")]
_ROLE = Annotated[str, typer.Option(help="what the file holds: boundary, districts, roads, …, devices")]
_CRS = Annotated[str | None, typer.Option(help="wgs84, cgcs2000, gk108, gcj02 or bd09; default: what the file says")]
_LAYER = Annotated[str | None, typer.Option(help="which layer of a GeoPackage; default: its only one")]


@layers_app.command("check")
def layers_check(context: typer.Context, file: _FILE, role: _ROLE, crs: _CRS = None, layer: _LAYER = None) -> None:
    """Read a layer file, say all that is wrong with it, and change nothing."""
    from layers import read

    with _settings(context) as settings:
        report = read.check(file, role=_role(role), crs=crs, layer=layer, folder=settings.layers_folder)
        typer.echo(f"{report.file}: {report.features} features as {report.role}, read as {report.crs}")
        if report.extent is not None:
            typer.echo("extent        {:.5f} {:.5f} to {:.5f} {:.5f}".format(*report.extent))
        for warning in report.warnings:
            typer.secho(f"warning: {warning}", fg="yellow")
        for problem in report.problems:
            typer.secho(f"problem: {problem}", fg="red", err=True)
        if report.problems:
            raise typer.Exit(1)
        typer.secho("nothing wrong with it", fg="green")


@layers_app.command("use")
def layers_use(context: typer.Context, file: _FILE, role: _ROLE, crs: _CRS = None, layer: _LAYER = None) -> None:
    """Check a layer file and use it instead of the shipped one; restart the twin to see it."""
    from layers import read

    with _settings(context) as settings:
        folder = settings.layers_folder
        written = read.use(file, role=_role(role), folder=folder, crs=crs, layer=layer)
        typer.echo(f"{written} is now the zone's {role} layer. Remove it to go back; restart the twin to see it.")


@layers_app.command("build")
def layers_build(
    context: typer.Context,
    folder: Annotated[Path | None, typer.Argument(help="where to write; default: this installation's layers")] = None,
) -> None:
    """Draw links, land use, buildings and devices around the boundary, districts and roads in use, yours or shipped."""
    from layers import build

    with _settings(context) as settings:
        for name, number in build.build(folder or settings.layers_folder).items():
            typer.echo(f"{name:12} {number:,}")


def _role(text: str) -> "Role":
    from layers.roles import ROLES

    if text not in ROLES:
        raise OurError(f"--role {text!r}: allowed are {', '.join(ROLES)}")
    return cast("Role", text)
