"""`gaoxin scenario`: look at the incidents that can be played into the simulated zone, play and stop them."""

from typing import Annotated, Any

import typer

from dashboards import opening
from dashboards.console import account, settings_of
from dashboards.i18n import translator
from twin.clock import SystemClock, local
from twin.errors import LedgerError
from twin.settings import Settings
from twin.truth import Stage

app = typer.Typer(help="Play incidents into the simulated zone.", no_args_is_help=True)


@app.command("list")
def list_all() -> None:
    """Every scenario, with when it usually begins and how long it lasts."""
    from simulators.scenarios import stories

    for id, story in stories().items():
        typer.echo(f"{id}  {story.start}  {_lasting(story.minutes):>9}  {story.level.name.lower():<6}  {story.name}")


@app.command()
def show(context: typer.Context, scenario: Annotated[str, typer.Argument(help="its id, such as S03")]) -> None:
    """What happens in one, in both languages."""
    from simulators.scenarios import told

    with settings_of(context):
        story = told(scenario)
    for language in ("zh", "en"):
        _ = translator(language)
        typer.echo(f"{scenario}  {_(story.name)}\n     {_(story.story)}")
    typer.echo(f"     {story.start}, {_lasting(story.minutes)}, {story.level.name.lower()}, {story.place}")
    typer.echo(f"     gaoxin scenario play {scenario} --at {story.start} --speed 60")


@app.command()
def play(
    context: typer.Context,
    scenario: Annotated[str, typer.Argument(help="its id, such as S03")],
    at: Annotated[
        str, typer.Option(help="set the zone's clock to this local time and rehearse it there, e.g. 15:20")
    ] = "",
    speed: Annotated[float | None, typer.Option(help="with --at: times faster than real")] = None,
) -> None:
    """Have the running simulator play one: now, in the day as it is, or as a rehearsal at a time of day."""
    from simulators import direct, stage

    with settings_of(context) as settings:
        done = direct.ask(settings.broker, stage.command("play", scenario, at, speed))
        _record(settings, "play", scenario, {"at": at, "speed": speed} if at else {})
        _say(done)


@app.command()
def stop(
    context: typer.Context, scenario: Annotated[str, typer.Argument(help="its id; without one: all")] = ""
) -> None:
    """End one, or all that are played."""
    from simulators import direct, stage

    with settings_of(context) as settings:
        done = direct.ask(settings.broker, stage.command("stop", scenario))
        _record(settings, "stop", scenario or "all", {})
        _say(done)


@app.command()
def status(context: typer.Context) -> None:
    """What is played now."""
    from simulators import direct

    with settings_of(context) as settings:
        _say(direct.state(settings.broker))


def _record(settings: Settings, do: str, scenario: str, detail: dict[str, Any]) -> None:
    """In the audit, where this machine can write there: who may speak to the broker may play without it."""
    from dashboards import drills

    try:
        with opening.ledger_of(settings) as ledger, ledger.transaction() as connection:
            drills.record(connection, do, scenario, detail, by=account(), at=SystemClock().now())
    except (LedgerError, OSError) as error:
        typer.secho(f"done, but not in the audit: {error}", err=True, fg="yellow")


def _say(stage: Stage) -> None:
    from simulators.scenarios import stories

    now = SystemClock().now()
    playing = [run for run in stage.runs if run.ends > now]
    for run in playing:
        typer.echo(
            f"{run.scenario}  {stories()[run.scenario].name}\n"
            f"     from {local(run.began):%H:%M:%S} to {local(run.ends):%H:%M:%S}"
        )
        for fact in run.facts:
            span = f"{local(fact.began):%H:%M:%S} to {local(fact.ended):%H:%M:%S}"
            typer.echo(f"     {span}  {fact.what}: {', '.join(fact.devices[:4])}{' …' * (len(fact.devices) > 4)}")
    if not playing:
        typer.echo("nothing is played; the zone has an ordinary day")
    if stage.speed != 1:
        clock = stage.clock + round((now - stage.at) * stage.speed)
        typer.echo(f"the zone's clock: {local(clock):%H:%M:%S}, {stage.speed:g} times as fast")


def _lasting(minutes: float) -> str:
    return f"{minutes / 60:g} h" if minutes >= 180 else f"{minutes:g} min"
