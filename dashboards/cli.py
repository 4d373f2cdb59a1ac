"""The command `gaoxin`."""

import logging
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import msgspec
import typer

from dashboards import opening
from dashboards.audit_commands import app as audit_app
from dashboards.console import Called, settings_of
from dashboards.incident_commands import app as incident_app
from dashboards.kiosk_commands import app as kiosk_app
from dashboards.notice_commands import app as notice_app
from dashboards.rule_commands import app as rules_app
from dashboards.scenario_commands import app as scenario_app
from dashboards.user_commands import app as user_app
from twin import channels
from twin.clock import HOUR, SystemClock, local, parse
from twin.errors import OurError, TheirError
from twin.ledger import simulated, truth, users
from twin.registry import Registry
from twin.settings import Settings
from twin.store import Store

if TYPE_CHECKING:
    from dashboards.node import Node
    from ingest.decode import Decoder
    from ingest.quarantine import Entry
    from ingest.worker import Status
    from layers.roles import Role
    from simulators.world import Scenario

app = typer.Typer(
    name="gaoxin",
    help="The operations centre of a city zone: watch it live, replay it, set its alerts.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
quarantine_app = typer.Typer(help="Look at what could not be taken in, and try it again.", no_args_is_help=True)
layers_app = typer.Typer(help="Look at, check and use map layers.", no_args_is_help=True)
app.add_typer(layers_app, name="layers")
app.add_typer(quarantine_app, name="quarantine")
app.add_typer(scenario_app, name="scenario")
app.add_typer(rules_app, name="rules")
app.add_typer(user_app, name="user")
app.add_typer(kiosk_app, name="kiosk")
app.add_typer(audit_app, name="audit")
app.add_typer(incident_app, name="incident")
app.add_typer(notice_app, name="notify")

log = logging.getLogger("gaoxin")


@app.callback()
def main(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option(help="settings file; default: gaoxin.toml here, if there is one")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="say more")] = False,
) -> None:
    context.obj = Called(config)
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        datefmt="%H:%M:%S",
        stream=sys.stderr,
    )
    for chatty in ("alembic", "asyncio", "matplotlib", "uvicorn.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


@app.command()
def up(context: typer.Context) -> None:
    """Run everything on this machine: broker, simulators, ingest, engine and web."""
    from dashboards import up as supervisor

    with settings_of(context) as settings:
        opening.read_registry(settings)  # a wrong one is said here, before anything runs
        supervisor.run(settings)


@app.command()
def broker(context: typer.Context) -> None:
    """Be the broker: Mosquitto if it is installed, else the embedded one."""
    from ingest import broker as brokers

    with settings_of(context) as settings:
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
    with settings_of(context) as settings:
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
    with settings_of(context) as settings:
        if check is not None:
            _check_mapping(settings, check, sample)
        elif sample is not None:
            raise OurError("--sample needs the mapping to try it on: --check mapping.toml --sample file.jsonl")
        else:
            _run_node(settings, engine=False, web=False)


def _check_mapping(settings: Settings, file: Path, sample: Path | None) -> None:
    from ingest import check

    decoder = opening.make_decoder(settings, opening.read_registry(settings), file)
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
    with settings_of(context) as settings:
        _run_node(settings, ingest=False, web=False)


@app.command()
def serve(context: typer.Context) -> None:
    """Run the web alone (needs a store that is a server)."""
    with settings_of(context) as settings:
        _run_node(settings, ingest=False, engine=False)


def _run_node(
    settings: Settings, *, ingest: bool = True, engine: bool = True, web: bool = True, fill: bool = False
) -> None:
    import signal
    import threading

    from dashboards.node import Node

    # A thread that comes back from the network or the store gets its turn ten times sooner: 10 % more is taken in
    sys.setswitchinterval(0.0005)
    registry = opening.read_registry(settings)
    store = opening.open_store(settings, registry)
    if fill and settings.simulate.on:
        _fill(settings, registry, store)
    made = Node(settings, registry, store, ingest=ingest, engine=engine, web=web)
    if web:
        import uvicorn

        from dashboards.app import build

        _welcome(made)
        uvicorn.run(
            build(made),
            host=settings.web.host,
            port=settings.web.port,
            log_level="warning",
            proxy_headers=bool(settings.web.proxies),
            forwarded_allow_ips=settings.web.proxies,
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


def _welcome(node: "Node") -> None:
    """The first start's admin, and a word where anybody of the network may look."""
    web, look = node.settings.web, node.settings.access.look
    assert node.ledger is not None
    with node.ledger.transaction() as connection:
        password = users.first_admin(connection, at=node.clock.now())
    if password is not None:
        line = "=" * 76
        typer.echo(
            f"{line}\nThe first account is made. "
            f"Sign in at http://{opening.reachable(web.host)}:{web.port}/sign-in as\n\n"
            f"    {users.FIRST}    {password}\n\n"
            f"This password is shown now and never again; lost: gaoxin user password {users.FIRST}\n{line}"
        )
    if look == "anyone" and not opening.is_loopback(web.host):
        log.warning(
            "web.host = %s is open to a network, and access.look = anyone: whoever reaches it may look. "
            'Set access.look = "signed-in" to ask for an account or a kiosk link',
            web.host,
        )


@app.command()
def simulate(
    context: typer.Context,
    speed: Annotated[float | None, typer.Option(help="times faster than real the simulated day runs")] = None,
) -> None:
    """Publish simulated sensors to the broker."""
    from dashboards.operation import answering
    from simulators import publish

    with settings_of(context) as settings, answering(settings.monitor):
        publish.run(
            opening.read_registry(settings),
            settings.broker,
            SystemClock(),
            seed=settings.simulate.seed,
            speed=speed or settings.simulate.speed,
        )


@app.command()
def backfill(
    context: typer.Context,
    hours: Annotated[float, typer.Option(help="how far back from the end")] = 24,
    from_: Annotated[
        str | None, typer.Option("--from", help="begin here instead: a local time, 2026-11-20T08:00")
    ] = None,
    to: Annotated[str | None, typer.Option(help="end here; default: now")] = None,
    seed: Annotated[int | None, typer.Option(help="another seed than that of the settings")] = None,
    scenario: Annotated[
        list[str] | None, typer.Option(help="lay a scenario over it, S03@2026-11-20T15:20; may be repeated")
    ] = None,
) -> None:
    """Fill a past range straight into the store with simulated readings: same seed and range, same readings."""
    from simulators.scenarios import Places, scheduled

    with settings_of(context) as settings:
        now = SystemClock().now()
        end = _moment("--to", to) if to else now
        start = _moment("--from", from_) if from_ else end - round(hours * HOUR)
        if not start < end <= now:
            raise OurError(f"from {local(start)} to {local(end)} is no range of the past")
        registry = opening.read_registry(settings)
        places = Places(registry)
        played = [scheduled(text, places) for text in scenario or ()]
        store = opening.open_store(settings, registry)
        try:
            _backfill(settings, registry, store, start, end, seed=seed, scenarios=played)
        finally:
            store.close()
        if played:
            with opening.ledger_of(settings) as ledger, ledger.transaction() as connection:
                for run in (s.run() for s in played):
                    truth.record(connection, run.id, run.facts)


def _moment(option: str, text: str) -> int:
    try:
        return parse(text)
    except ValueError as error:
        raise OurError(f"{option}: {error}") from None


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


def _backfill(
    settings: Settings,
    registry: Registry,
    store: Store,
    start: int,
    end: int,
    *,
    seed: int | None = None,
    scenarios: "Sequence[Scenario]" = (),
) -> None:
    from simulators import backfill

    def progress(done: float) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r  history {done:4.0%} " + "█" * round(done * 40))
            sys.stderr.flush()

    begun = time.perf_counter()
    rows = backfill.fill(
        store,
        registry,
        seed=settings.simulate.seed if seed is None else seed,
        start=start,
        end=end,
        scenarios=scenarios,
        progress=progress,
    )
    if sys.stderr.isatty():
        sys.stderr.write("\n")
    with opening.ledger_of(settings) as ledger, ledger.transaction() as connection:
        simulated.mark(connection, start, end)
    log.info("%s observations in %.1f s", f"{rows:,}", time.perf_counter() - begun)


@app.command()
def doctor(context: typer.Context) -> None:
    """Say what this installation has, what it would do and what is wrong."""
    from dashboards import up as supervisor
    from ingest import broker as brokers
    from twin import mqtt

    with settings_of(context) as settings:
        registry = opening.read_registry(settings)
        opening.make_decoder(settings, registry)  # a wrong mapping is said here
        typer.echo(f"data folder   {settings.data.absolute()}")
        typer.echo(f"devices       {len(registry)} (registry {registry.digest:08x})")
        told = ", ".join(c.name for c in channels.channels(settings.notices))
        typer.echo(f"notices       {f'go to {told}' if told else 'nobody is told of alarms: no channel is named'}")
        kind = settings.broker.kind
        program = "outside" if kind == "outside" else brokers.find(kind) or "amqtt (embedded)"
        typer.echo(f"broker        {program}, {settings.broker.host}:{settings.broker.port}")
        if kind == "outside" and not mqtt.reachable(settings.broker):
            raise TheirError("the broker does not let this in; what it says is above")
        web = f"http://{settings.web.host}:{settings.web.port}"
        if supervisor.running(settings.data):
            typer.echo(f"twin          runs on this data folder; it speaks for itself at {web}/readyz")
            return
        store = opening.open_store(settings, registry)
        try:
            store.check()
            latest = store.latest()
        finally:
            store.close()
        spoken = sum(device in registry for device in latest)
        others = f"; it also knows {len(latest) - spoken} that are not in the registry" if spoken < len(latest) else ""
        typer.echo(
            f"store         {settings.store.kind} answers; {spoken} of {len(registry)} devices have spoken{others}"
        )
        typer.echo(f"web           {web}")


_REASON = Annotated[str | None, typer.Option(help="only these: device, range, json, … (`list` counts them)")]
_DEVICE = Annotated[str | None, typer.Option(help="only what names this device")]


def _quarantined(settings: Settings, reason: str | None, device: str | None) -> "list[Entry]":
    from ingest import quarantine
    from ingest.decode import Reason

    known = [r.name.lower() for r in Reason]
    if reason is not None and reason not in known:
        raise OurError(f"--reason {reason}: there is no such reason. Known: {', '.join(known)}")
    return [
        entry
        for entry in quarantine.read(settings.data / "quarantine")
        if (reason is None or any(g.reason == reason for g in entry.grounds))
        and (device is None or any(g.device == device for g in entry.grounds))
    ]


@quarantine_app.command("list")
def quarantine_list(
    context: typer.Context,
    reason: _REASON = None,
    device: _DEVICE = None,
    last: Annotated[int, typer.Option(help="show the newest so many")] = 20,
) -> None:
    """Count what waits by reason, and show the newest."""
    from ingest import quarantine

    with settings_of(context) as settings:
        entries = _quarantined(settings, reason, device)
        if not entries:
            others = len(_quarantined(settings, None, None))
            typer.echo(f"nothing like this waits in quarantine; {others} others do" if others else "nothing waits")
            return
        for name, count in quarantine.by_reason(entries).most_common():
            typer.echo(f"{count:8,}  {name:8}  {_meaning(name)}")
        typer.echo("")
        for entry in sorted(entries, key=lambda e: e.received)[-max(last, 1) :]:
            when = local(entry.received).strftime("%m-%d %H:%M:%S %z")
            typer.echo(f"{entry.id}  {when}  {entry.topic}")
            for ground in entry.grounds[:3]:
                typer.echo(f"    {ground.reason}: {ground.detail}")
            if len(entry.grounds) > 3:
                typer.echo(f"    and {len(entry.grounds) - 3} more")


@quarantine_app.command("show")
def quarantine_show(context: typer.Context, id: Annotated[str, typer.Argument(help="as `list` shows it")]) -> None:
    """Show one message whole: where it came from, why it was refused, and its payload."""
    with settings_of(context) as settings:
        entry = next((e for e in _quarantined(settings, None, None) if e.id == id), None)
        if entry is None:
            raise TheirError(f"{id}: no such message waits in quarantine. `gaoxin quarantine list` shows what does.")
        typer.echo(f"received  {local(entry.received).isoformat(' ', 'milliseconds')}")
        typer.echo(f"topic     {entry.topic}")
        for ground in entry.grounds:
            typer.echo(f"refused   {ground.reason}, {_meaning(ground.reason)}: {ground.detail}")
        cut = f", cut to {len(entry.content):,}" if entry.size > len(entry.content) else ""
        typer.echo(f"payload   {entry.size:,} bytes{cut}{', not UTF-8' if entry.base64 else ''}\n")
        typer.echo(entry.content.decode("utf-8", "backslashreplace"))


@quarantine_app.command("retry")
def quarantine_retry(
    context: typer.Context,
    ids: Annotated[list[str] | None, typer.Argument(help="as `list` shows them; none: all that are chosen")] = None,
    reason: _REASON = None,
    device: _DEVICE = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would come of it, and change nothing")] = False,
) -> None:
    """Read the messages again by today's registry and mapping, and send what can be read now; the rest stays."""
    from ingest import quarantine, retry

    with settings_of(context) as settings:
        entries = [e for e in _quarantined(settings, reason, device) if not ids or e.id in ids]
        for missing in sorted(set(ids or ()) - {e.id for e in entries}):
            raise TheirError(f"{missing}: no such message, or not for this reason or device. Nothing was done.")
        decoder = opening.make_decoder(settings, opening.read_registry(settings))
        tried = retry.decode(entries, decoder, SystemClock().now())
        found = [o for t in tried for o in t.observations]
        whole = [t.entry for t in tried if t.whole]
        if not dry_run:
            if found:
                _same_reading(retry.workers(settings.broker), decoder)
                retry.publish(found, decoder, settings.broker)
            quarantine.settled(settings.data / "quarantine", whole)
        typer.echo(f"readings {'that can be sent' if dry_run else 'sent'}: {len(found)}")
        typer.echo(f"messages {'that would be settled' if dry_run else 'settled'}: {len(whole)} of {len(tried)}")
        still = Counter(r.reason for t in tried for r in t.refused)
        for why, count in still.most_common():
            typer.echo(f"{count:8,}  still {why.name.lower()}: {why.value}")


def _same_reading(workers: "list[Status]", decoder: "Decoder") -> None:
    """Raises TheirError when a worker would refuse again what is taken here."""
    old = [w.worker for w in workers if w.reads != decoder.digest]
    if old:
        raise TheirError(
            f"the ingest worker {', '.join(old)} still reads by another registry or mapping than this command, "
            "and would refuse these again. Start it again first; nothing was sent."
        )
    if not workers:
        raise TheirError("no ingest worker runs: what is sent now would be heard by nobody. Nothing was sent.")


def _meaning(reason: str) -> str:
    from ingest.decode import Reason

    return next((r.value for r in Reason if r.name.lower() == reason), "of another version")


_FILE = Annotated[Path, typer.Argument(help="GeoJSON, GeoPackage, Shapefile (also zipped) or CSV of points")]
_ROLE = Annotated[str, typer.Option(help="what the file holds: boundary, districts, roads, …, devices")]
_CRS = Annotated[str | None, typer.Option(help="wgs84, cgcs2000, gk108, gcj02 or bd09; default: what the file says")]
_LAYER = Annotated[str | None, typer.Option(help="which layer of a GeoPackage; default: its only one")]


@layers_app.command("check")
def layers_check(context: typer.Context, file: _FILE, role: _ROLE, crs: _CRS = None, layer: _LAYER = None) -> None:
    """Read a layer file, say all that is wrong with it, and change nothing."""
    from layers import read

    with settings_of(context) as settings:
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

    with settings_of(context) as settings:
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

    with settings_of(context) as settings:
        for name, number in build.build(folder or settings.layers_folder).items():
            typer.echo(f"{name:12} {number:,}")


def _role(text: str) -> "Role":
    from layers.roles import ROLES

    if text not in ROLES:
        raise OurError(f"--role {text!r}: allowed are {', '.join(ROLES)}")
    return cast("Role", text)
