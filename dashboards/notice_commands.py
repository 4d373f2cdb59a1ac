"""`gaoxin notify`: who is told of alarms, whether a channel works, and what is on its way."""

from typing import Annotated

import typer

from dashboards.console import settings_of
from dashboards.i18n import translator
from dashboards.opening import open_ledger
from twin import channels, wording
from twin.channels import Channel
from twin.clock import SystemClock, local
from twin.errors import OurError
from twin.ledger import outbox
from twin.ledger.outbox import Notice, State
from twin.settings import Notices

app = typer.Typer(help="Look at who is told of alarms, and try it.", no_args_is_help=True)

NOBODY = (
    "no channel is named, so nothing is sent. Name one in the environment:\n"
    '  GAOXIN_NOTICES__CHANNELS="duty=dingtalk://secret@token"\n'
    "how each kind is written: docs/engineers.md, Notices"
)


@app.command("list")
def list_all(context: typer.Context) -> None:
    """The channels, with what each takes and when."""
    with settings_of(context) as settings:
        from ingest import senders

        known = channels.channels(settings.notices)
        ways = senders.lines(settings.notices)
    if not known:
        typer.echo(NOBODY)
    for channel in known:
        typer.echo(f"{channel.name:12}  {ways[channel.name].shown:40}  {_takes(channel, settings.notices)}")


def _takes(channel: Channel, settings: Notices) -> str:
    said = f"from {channel.least.name.lower()} on"
    if channel.quiet:
        q = channel.quiet
        span = f"{q.begin // 60:02}:{q.begin % 60:02} to {q.end // 60:02}:{q.end % 60:02}"
        said += f"; {span} only from {q.least.name.lower()} on"
    if channel.escalation:
        said += f"; what nobody has acknowledged for {settings.escalate_min} min, and what a rule sends there by name"
    return said


@app.command()
def test(context: typer.Context, channel: Annotated[str, typer.Argument(help="as `list` shows it")]) -> None:
    """Send one notice now, and say what happened. 1 when it was not taken."""
    with settings_of(context) as settings:
        from ingest import senders

        ways = channels.addresses(settings.notices)
        if channel not in ways:
            raise OurError(
                f"there is no channel {channel!r}. In GAOXIN_NOTICES__CHANNELS are: {', '.join(ways) or 'none'}"
            )
        line = senders.lines(settings.notices)[channel]
        words = wording.trial(translator(settings.language))
        typer.echo(senders.test(line, words.title, words.body))


@app.command()
def queue(
    context: typer.Context,
    last: Annotated[int, typer.Option(help="show the newest so many")] = 20,
    state: Annotated[State | None, typer.Option(help="only these")] = None,
    retry: Annotated[bool, typer.Option("--retry", help="try those that were given up again")] = False,
) -> None:
    """What is on its way, what was sent, and what was given up and why."""
    now = SystemClock().now()
    with settings_of(context) as settings:
        ledger = open_ledger(settings)
        try:
            with ledger.transaction() as connection:
                if retry:
                    typer.echo(f"{outbox.revive(connection, now=now)} are tried again")
                counts = outbox.counts(connection)
                found = outbox.notices(connection, states=(state,) if state else (), limit=max(last, 1))
        finally:
            ledger.close()
        known = {c.name for c in channels.channels(settings.notices)}
    if not counts:
        typer.echo("nothing was ever to be sent" if known else NOBODY)
        return
    for (channel, kind), n in sorted(counts.items()):
        away = "" if channel in known else "  (no such channel any more)"
        typer.echo(f"{n:8,}  {kind:8}  {channel}{away}")
    typer.echo("")
    for notice in reversed(found):
        typer.echo(_told(notice, now))


def _told(notice: Notice, now: int) -> str:
    when = f"{local(notice.written):%m-%d %H:%M:%S}"
    said = f"{notice.id}  {when}  {notice.channel}  {_fate(notice, now)}\n    {notice.title}"
    return said + (f"\n    {notice.error}" if notice.error else "")


def _fate(notice: Notice, now: int) -> str:
    if notice.state is State.SENT and notice.settled is not None:
        return f"sent at {local(notice.settled):%H:%M:%S}"
    if notice.state is State.DEAD:
        return f"given up after {notice.tries} tries"
    if notice.leased > now:
        return f"being sent by {notice.owner}"
    return f"waits, tried {notice.tries} times, next at {local(max(notice.due, now)):%H:%M:%S}"
