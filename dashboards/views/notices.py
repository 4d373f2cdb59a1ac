"""What the pages say of notices: whether anybody is told at all, and how each channel does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dashboards.i18n import Translate
from twin.channels import Channel, masked
from twin.ledger.outbox import State
from twin.wording import LEVELS


@dataclass(frozen=True)
class ChannelRow:
    """`address` is masked; `least` and `quiet` as shown; the rest counts notices."""

    name: str
    address: str
    least: str
    quiet: str
    escalation: bool
    waiting: int
    sent: int
    dead: int


@dataclass(frozen=True)
class NoticesView:
    """`said`: the one sentence to show above; `trouble`: somebody should look."""

    said: str
    trouble: bool
    rows: tuple[ChannelRow, ...]


def notices(
    channels: Sequence[Channel],
    addresses: Mapping[str, str],
    counts: Mapping[tuple[str, State], int],
    _: Translate,
) -> NoticesView:
    """`addresses` as in twin.channels, `counts` as in twin.ledger.outbox."""
    if not channels:
        return NoticesView(_("Nothing is sent: no channel is set up"), False, ())
    rows = tuple(_row(c, addresses[c.name], counts, _) for c in channels)
    dead = sum(row.dead for row in rows)
    if dead:
        return NoticesView(_("{n} notices could not be delivered").format(n=dead), True, rows)
    return NoticesView(_("Notices go to {names}").format(names=", ".join(c.name for c in channels)), False, rows)


def _row(channel: Channel, address: str, counts: Mapping[tuple[str, State], int], _: Translate) -> ChannelRow:
    quiet = channel.quiet
    return ChannelRow(
        name=channel.name,
        address=masked(address),
        least=_(LEVELS[channel.least]),
        quiet=f"{_clock(quiet.begin)}–{_clock(quiet.end)} {_(LEVELS[quiet.least])}" if quiet else "",
        escalation=channel.escalation,
        waiting=counts.get((channel.name, State.WAITING), 0),
        sent=counts.get((channel.name, State.SENT), 0),
        dead=counts.get((channel.name, State.DEAD), 0),
    )


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
