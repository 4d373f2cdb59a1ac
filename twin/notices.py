"""Who is told of an alarm, and when: a chain of pure stages, each of which may say no and why.

    mute     out of service, shelved, in a silence or a maintenance window: nobody is told
    inhibit  a lost gateway stands for its devices' absence; a higher alarm of a subject stands for its lower ones
    route    the channels that the rule names, or all; those of escalation for what nobody acknowledges in time
    group    by what the rules share (`group`, else the rule itself) and the district, or by the lost gateway
    dedup    what was already told (`Told`, kept for each channel and group)
    decide   send now, wait, or leave it, with a `Reason`

Invariants, each a property under test:
- The chain is a function of alarms, what was told, and `now`. It reads no clock and remembers nothing.
- Run again at once after what it decided is written, it decides to send nothing: so a crash before the write loses
  nothing and one after it repeats nothing.
- What is hidden is not resolved: "resolved" is said only once every alarm that was told is closed.
- Nothing new happens before `Plan.due` unless the alarms change: sleeping until then misses nothing.

The shape is that of Prometheus' Alertmanager (`notify.needsUpdate`: firing, resolved, repeat and `now` in, a reason
out); levels, quiet hours, escalation and the lost gateway are ours.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from enum import StrEnum

import msgspec

from twin.cases import GATEWAY, Case
from twin.channels import Channel
from twin.clock import MINUTE, SECOND
from twin.settings import Notices
from twin.standards import Level

NEVER = 1 << 62


class Reason(StrEnum):
    """Why a notice is sent, or why none is. The value is a message id."""

    FIRST = "First notice"
    ROSE = "The level rose"
    MORE = "More alarms of the group"
    UNKNOWN = "No data any more"
    REPEAT = "Repeat due"
    ESCALATED = "Not acknowledged in time"
    RESOLVED = "Resolved"

    WAITING = "Waits for others of its group"
    QUIET = "Quiet hours of the channel"
    SAME = "Already told"
    ACKNOWLEDGED = "Told, and somebody is on it"
    OUT_OF_SERVICE = "Out of service"
    SHELVED = "Shelved"
    SILENCED = "Silenced"
    MAINTENANCE = "Maintenance"
    GATEWAY = "Its gateway is lost"
    HIGHER = "A higher alarm of the same place is told"
    BELOW = "Below the channel's least level"
    NO_CHANNEL = "No channel takes it"

    @property
    def sends(self) -> bool:
        return self in _SENDS


_SENDS = frozenset(
    (
        Reason.FIRST,
        Reason.ROSE,
        Reason.MORE,
        Reason.UNKNOWN,
        Reason.REPEAT,
        Reason.ESCALATED,
        Reason.RESOLVED,
    )
)


class Brief(msgspec.Struct, frozen=True):
    """What was told of one alarm: the highest level said, and enough to say later that it is over."""

    level: Level
    opened: int
    name: str
    place: str
    unknown: bool = False


class Told(msgspec.Struct, frozen=True):
    """What a channel has been told of a group, and when last; `number` counts the notices."""

    number: int = 0
    at: int = 0
    alarms: dict[int, Brief] = {}

    @property
    def level(self) -> Level:
        return max((b.level for b in self.alarms.values()), default=Level.NONE)


NOTHING = Told()


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds."""

    wait: int = 20 * SECOND
    interval: int = 5 * MINUTE
    escalate: int = 30 * MINUTE

    @classmethod
    def of(cls, settings: Notices) -> "Policy":
        return cls(
            wait=settings.group_wait_s * SECOND,
            interval=settings.group_interval_s * SECOND,
            escalate=settings.escalate_min * MINUTE,
        )


class Decision(msgspec.Struct, frozen=True):
    """What one channel is told of one group, or why it is not. `cases`: those open now, the worst first; `over`: what
    was told and is closed; `told`: what it will have been told once this is sent; `due`: when to look again."""

    channel: str
    group: str
    reason: Reason
    level: Level
    cases: tuple[Case, ...]
    over: dict[int, Brief]
    told: Told
    due: int

    @property
    def key(self) -> str:
        """The same for the same decision, however often and wherever it is made."""
        return f"{self.channel}/{self.group}/{self.told.number}"


class Plan(msgspec.Struct, frozen=True):
    """`hushed`: for each alarm that is not told by itself, why; `due`: when to plan again, NEVER if only on news."""

    decisions: tuple[Decision, ...]
    hushed: dict[int, Reason]
    due: int

    @property
    def sends(self) -> tuple[Decision, ...]:
        return tuple(d for d in self.decisions if d.reason.sends)


def plan(
    cases: Sequence[Case],
    channels: Sequence[Channel],
    told: Mapping[tuple[str, str], Told],
    *,
    now: int,
    policy: Policy,
    lost: Set[str] = frozenset(),
) -> Plan:
    """What is to be said of all open alarms. `told`: by (channel, group); `lost`: the gateways that are offline, beside
    those that an open alarm says are."""
    lost = lost | {c.gateway for c in cases if c.absence and c.subject.startswith(GATEWAY)}
    hushed = {c.alarm: reason for c in cases if (reason := mute(c, now))}
    heard = [_settled(c, lost) for c in cases if c.alarm not in hushed]
    decisions: list[Decision] = []
    reasons: dict[int, Reason] = {}
    taken: set[int] = set()
    for channel in channels:
        mine, refused = route(heard, channel, policy, now)
        shown, hidden = inhibit(mine, lost)
        for alarm, reason in (refused | hidden).items():
            reasons.setdefault(alarm, reason)
        taken |= {c.alarm for c in shown}
        groups = group(shown, lost)
        known = {key for name, key in told if name == channel.name and told[name, key].alarms}
        for key in sorted(groups.keys() | known):
            members = groups.get(key, ())
            before = told.get((channel.name, key), NOTHING)
            still = _open(key, members, cases)
            decisions.append(decide(channel, key, members, before, still, now=now, policy=policy))
    quiet = {c.alarm: reasons.get(c.alarm, Reason.NO_CHANNEL) for c in heard if c.alarm not in taken}
    quiet |= {c.alarm: Reason.GATEWAY for c in heard if _behind(c, lost)}
    due = min((*(d.due for d in decisions), *_turns(cases, channels, policy, now)), default=NEVER)
    return Plan(tuple(decisions), hushed | quiet, due)


# The stages


def mute(case: Case, now: int) -> Reason | None:
    """Why nobody is to be told of it now; None when somebody may be."""
    if case.out_of_service:
        return Reason.OUT_OF_SERVICE
    if case.shelved_until > now:
        return Reason.SHELVED
    for hush in case.hushes:
        if hush.begins <= now < hush.ends:
            return Reason.MAINTENANCE if hush.maintenance else Reason.SILENCED
    return None


def route(cases: Iterable[Case], channel: Channel, policy: Policy, now: int) -> tuple[list[Case], dict[int, Reason]]:
    """Those that go to the channel, and why others do not."""
    mine, refused = [], {}
    for case in cases:
        if not (direct(case, channel) or _escalated(case, channel, policy, now)):
            refused[case.alarm] = Reason.NO_CHANNEL
        elif case.level < channel.least:
            refused[case.alarm] = Reason.BELOW
        else:
            mine.append(case)
    return mine, refused


def direct(case: Case, channel: Channel) -> bool:
    """Whether the channel is told at once, not only when nobody acknowledges."""
    return channel.name in case.channels if case.channels else not channel.escalation


def _escalated(case: Case, channel: Channel, policy: Policy, now: int) -> bool:
    return channel.escalation and not case.acknowledged and now >= case.waiting_since + policy.escalate


def inhibit(cases: Sequence[Case], lost: Set[str]) -> tuple[list[Case], dict[int, Reason]]:
    """Those that stand for themselves, and those that another stands for.

    A lost gateway's absences remain: `group` makes one of them, and they hide nothing. Alarms of one subject hide
    each other only within one group of rules: a noisy station is no reason to keep quiet about its air.
    """
    highest: dict[tuple[str, str], Level] = {}
    speaking = [c for c in cases if not _behind(c, lost)]
    for case in speaking:
        place = (case.subject, case.group)
        highest[place] = max(highest.get(place, Level.NONE), case.level)
    shown, hidden = [], {}
    for case in cases:
        if not _behind(case, lost) and case.level < highest[case.subject, case.group]:
            hidden[case.alarm] = Reason.HIGHER
        else:
            shown.append(case)
    return shown, hidden


def group(cases: Iterable[Case], lost: Set[str]) -> dict[str, tuple[Case, ...]]:
    """Those that are told together, by key, each group with the worst first."""
    found: dict[str, list[Case]] = {}
    for case in cases:
        key = GATEWAY + case.gateway if _behind(case, lost) else f"{case.group or case.rule}@{case.district}"
        found.setdefault(key, []).append(case)
    return {key: tuple(sorted(members, key=_worst_first)) for key, members in found.items()}


def decide(
    channel: Channel, key: str, cases: Sequence[Case], told: Told, still: Collection[int], *, now: int, policy: Policy
) -> Decision:
    """Compare what is so with what was told. `cases`: those to tell, the worst first; `still`: ids of all that are open
    and belong here, told or hidden."""
    over = {alarm: brief for alarm, brief in told.alarms.items() if alarm not in still}
    level = max((c.level for c in cases), default=told.level)
    reason, begin = _news(channel, cases, told, bool(told.alarms) and len(over) == len(told.alarms), policy)
    if not reason.sends:
        after, due = told, begin
    elif begin > now:
        reason, after, due = Reason.WAITING, told, begin
    elif (quiet := channel.quiet_until(level, now)) > now:
        reason, after, due = Reason.QUIET, told, quiet
    else:
        after, due = _after(cases, told, over, now), now
    return Decision(channel.name, key, reason, level, tuple(cases), over, after, due)


def _news(channel: Channel, cases: Sequence[Case], told: Told, all_over: bool, policy: Policy) -> tuple[Reason, int]:
    """What there is to say, and from when on it may be said."""
    fresh = [c for c in cases if c.alarm not in told.alarms]
    risen = [c for c in cases if c.alarm in told.alarms and c.level > told.alarms[c.alarm].level]
    next_one = told.at + policy.interval if told.number else 0
    if fresh and (not told.alarms or all_over):
        begin = min(c.opened for c in fresh) + policy.wait
        # What comes again soon after it was said to be over waits for its turn, unless it is red
        begin = begin if fresh[0].level == Level.RED else max(begin, next_one)
        return _first(channel, fresh, Reason.FIRST), begin
    if any(c.level > told.level for c in (*fresh, *risen)):
        return Reason.ROSE, 0
    if fresh or risen:
        return _first(channel, fresh, Reason.MORE), next_one
    if any(c.unknown and not told.alarms[c.alarm].unknown for c in cases):
        return Reason.UNKNOWN, next_one
    if all_over:
        return Reason.RESOLVED, next_one
    return _again(cases, told)


def _first(channel: Channel, fresh: Sequence[Case], otherwise: Reason) -> Reason:
    return Reason.ESCALATED if fresh and not any(direct(c, channel) for c in fresh) else otherwise


def _again(cases: Sequence[Case], told: Told) -> tuple[Reason, int]:
    """Nothing is new: it is said again after the shortest repeat of what nobody has acknowledged."""
    if cases and all(c.acknowledged for c in cases):
        return Reason.ACKNOWLEDGED, NEVER
    repeats = [c.repeat_min for c in cases if c.repeat_min > 0 and not c.acknowledged]
    return (Reason.REPEAT, told.at + min(repeats) * MINUTE) if repeats else (Reason.SAME, NEVER)


def _after(cases: Iterable[Case], told: Told, over: Collection[int], now: int) -> Told:
    """An alarm keeps the highest level that was told of it: what falls and rises again is no news."""
    alarms = {alarm: brief for alarm, brief in told.alarms.items() if alarm not in over}
    for c in cases:
        before = alarms[c.alarm].level if c.alarm in alarms else Level.NONE
        alarms[c.alarm] = Brief(max(c.level, before), c.opened, c.name, c.place, c.unknown)
    return Told(told.number + 1, now, alarms)


def _behind(case: Case, lost: Set[str]) -> bool:
    return case.absence and case.gateway in lost


def _settled(case: Case, lost: Set[str]) -> Case:
    """That its sensor is lost is no news of this alarm where the whole gateway is."""
    return msgspec.structs.replace(case, unknown=False) if case.unknown and case.gateway in lost else case


def _open(key: str, members: Iterable[Case], cases: Iterable[Case]) -> set[int]:
    """Ids that are not over for this group. Behind a gateway that came back, the devices speak for themselves again."""
    return {c.alarm for c in (members if key.startswith(GATEWAY) else cases)}


def _worst_first(case: Case) -> tuple[int, int, int]:
    return -case.level, case.opened, case.alarm


def _turns(cases: Iterable[Case], channels: Sequence[Channel], policy: Policy, now: int) -> Iterable[int]:
    """Times after now at which a stage before `decide` changes its mind without any news."""
    chiefs = any(c.escalation for c in channels)
    for case in cases:
        spans = (t for hush in case.hushes for t in (hush.begins, hush.ends))
        escalates = () if case.acknowledged or not chiefs else (case.waiting_since + policy.escalate,)
        yield from (t for t in (case.shelved_until, *spans, *escalates) if t > now)
