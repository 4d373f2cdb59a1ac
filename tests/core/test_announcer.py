"""Notices on the engine: planned where transitions are recorded, and again when something could change the plan."""

from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import msgspec
import pytest

from ingest.alert_topics import AlertTopics
from ingest.announcer import SETTLE, Told
from ingest.watch import Watch
from tests.zone import SMALL, T0, seen
from twin.channels import Channel
from twin.clock import MINUTE, SECOND
from twin.errors import LedgerError
from twin.ledger import Ledger, alarms, outbox, rules, silences, sqlite_url
from twin.notices import Policy
from twin.rules import Condition, Over, Rule, Scope, Term
from twin.silences import Purpose
from twin.silences import Scope as Where

FULL = Rule(
    id="full",
    name="Car park full",
    when=(Term(metric="occupancy", condition=Condition.ABOVE, yellow=0.9, red=0.99, band=0.05),),
    grace_s=86_400,
)
SILENT = Rule(
    id="silent",
    name="Device silent",
    when=(Term(condition=Condition.ABSENT, yellow=300.0),),
    scope=Scope(kinds=("link-detector",)),
)
TOLD = Told(
    (Channel("duty"), Channel("chief", escalation=True)),
    Policy(wait=0, interval=0, escalate=30 * MINUTE),
    "http://twin",
    lambda text: text,
    {},
)
START = T0 + SETTLE


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    found = Ledger(sqlite_url(tmp_path / "ledger.sqlite"))
    with found.transaction() as connection:
        rules.commit(connection, (FULL,), author="me", reason="a test", base=0, at=T0)
    yield found
    found.close()


def occupied(watch: Watch, share: float, at: int, device: str = "pk-1") -> None:
    watch.step(seen(device, at, occupancy=share))
    watch.turn(at)


def said(ledger: Ledger) -> list[tuple[str, str, str]]:
    """(channel, reason, title), the oldest first."""
    with ledger.reading() as connection:
        return [(n.channel, n.reason, n.title) for n in reversed(outbox.notices(connection))]


def reasons(ledger: Ledger) -> list[tuple[str, str]]:
    return [(channel, reason) for channel, reason, _ in said(ledger)]


def test_an_alarm_is_announced_with_its_record_and_its_end(ledger: Ledger) -> None:
    watch = Watch(SMALL, ledger, T0, told=TOLD)
    occupied(watch, 0.95, START)
    assert said(ledger) == [("duty", "first", "[yellow] Car park full · 设备 pk-1 95.0 %")]
    occupied(watch, 1.0, START + SECOND)
    occupied(watch, 0.5, START + 2 * SECOND)
    assert reasons(ledger) == [("duty", "first"), ("duty", "rose"), ("duty", "resolved")]


def test_without_a_channel_nothing_is_planned(ledger: Ledger) -> None:
    watch = Watch(SMALL, ledger, T0)
    occupied(watch, 0.95, START)
    assert watch.announcer is None
    assert said(ledger) == []


def test_what_is_raised_before_the_gateways_were_heard_is_announced_after(ledger: Ledger) -> None:
    watch = Watch(SMALL, ledger, T0, told=TOLD)
    occupied(watch, 0.95, T0 + SECOND)
    assert said(ledger) == []
    watch.turn(START)
    assert reasons(ledger) == [("duty", "first")]


def test_a_ledger_that_fails_leaves_neither_and_then_both(ledger: Ledger) -> None:
    watch = Watch(SMALL, ledger, T0, told=TOLD)
    with patch("ingest.announcer.outbox.announce", side_effect=LedgerError("away")):
        occupied(watch, 0.95, START)
    with ledger.reading() as connection:
        assert alarms.count(connection, now=START) == 0
    watch.turn(START + SECOND)
    assert reasons(ledger) == [("duty", "first")]
    with ledger.reading() as connection:
        assert alarms.count(connection, now=START) == 1


def test_what_nobody_acknowledges_escalates_in_time_and_once(ledger: Ledger) -> None:
    watch = Watch(SMALL, ledger, T0, told=TOLD)
    occupied(watch, 0.95, START)
    for second in range(29 * 60, 32 * 60, 10):
        watch.turn(START + second * SECOND)
    assert reasons(ledger) == [("duty", "first"), ("chief", "escalated")]


def test_what_is_acknowledged_does_not_escalate(ledger: Ledger) -> None:
    watch = Watch(SMALL, ledger, T0, told=TOLD)
    occupied(watch, 0.95, START)
    with ledger.transaction() as connection:
        [alarm] = alarms.find(connection, now=START)
        alarms.acknowledge(connection, alarm.id, by="me", at=START + MINUTE)
    for minute in range(1, 40):
        watch.turn(START + minute * MINUTE)
    assert reasons(ledger) == [("duty", "first")]


def test_a_silence_hushes_and_its_end_is_known(ledger: Ledger) -> None:
    watch = Watch(SMALL, ledger, T0, told=TOLD)
    with ledger.transaction() as connection:
        silences.add(
            connection,
            Purpose.SILENCE,
            Where(subjects=("pk-1",)),
            T0,
            START + 5 * MINUTE,
            by="me",
            at=T0,
            reason="a test",
        )
    occupied(watch, 0.95, START)
    watch.turn(START + 4 * MINUTE)
    assert said(ledger) == []
    watch.turn(START + 5 * MINUTE)
    assert reasons(ledger) == [("duty", "first")]


def test_a_death_after_the_record_repeats_nothing(ledger: Ledger) -> None:
    occupied(Watch(SMALL, ledger, T0, told=TOLD), 0.95, START)
    again = Watch(SMALL, ledger, START + SECOND, told=TOLD)
    occupied(again, 0.95, START + SECOND)
    again.turn(START + MINUTE)
    assert reasons(ledger) == [("duty", "first")]
    occupied(again, 0.1, START + 2 * MINUTE)
    assert reasons(ledger) == [("duty", "first"), ("duty", "resolved")]


def test_a_lost_gateway_stands_for_the_silence_of_its_devices(ledger: Ledger) -> None:
    """In the notices, and in what the wall counts."""
    with ledger.transaction() as connection:
        rules.commit(connection, (SILENT,), author="me", reason="a test", base=1, at=T0)
    watch = Watch(SMALL, ledger, T0, told=TOLD)
    for device in ("td-1", "td-2", "td-3"):
        watch.step(seen(device, START, intensity=100.0))
    watch.turn(START)
    watch.gateway("gw-a", False, START + SECOND)
    later = START + 6 * MINUTE
    ringing = watch.turn(later)
    assert [(n[0], n[1]) for n in said(ledger)] == [("duty", "first")]
    assert "Gateway gw-a lost, 3 devices silent" in said(ledger)[0][2]
    assert ringing is not None
    assert [(g.gateway, g.devices, g.unacknowledged) for g in ringing.lost] == [("gw-a", 3, True)]
    assert dict(ringing.counts) == {2: 1}
    assert ringing.unacknowledged == 1
    assert list(ringing.alarms) == []
    watch.gateway("gw-a", True, later + SECOND)
    for device in ("td-1", "td-2", "td-3"):
        watch.step(seen(device, later + SECOND, intensity=100.0))
    ringing = watch.turn(later + 2 * SECOND)
    ringing = watch.turn(later + 4 * SECOND)
    assert ringing is not None
    assert not ringing.lost
    assert reasons(ledger) == [("duty", "first"), ("duty", "resolved")]


def test_an_alarm_of_the_gateway_itself_is_not_counted_twice(ledger: Ledger) -> None:
    itself = msgspec.structs.replace(SILENT, id="gateway-silent", over=Over.GATEWAY, need=0)
    with ledger.transaction() as connection:
        rules.commit(connection, (SILENT, itself), author="me", reason="a test", base=1, at=T0)
    watch = Watch(SMALL, ledger, T0)
    for device in ("td-1", "td-2", "td-3"):
        watch.step(seen(device, START, intensity=100.0))
    ringing = watch.turn(START + 6 * MINUTE)
    assert ringing is not None
    assert [a.subject for a in ringing.alarms] == ["gateway:gw-a"]
    assert [(g.gateway, g.devices) for g in ringing.lost] == [("gw-a", 3)]
    assert dict(ringing.counts) == {2: 1}


class TestTopics:
    def there(self, ledger: Ledger, *shares: tuple[str, float]) -> Watch:
        watch = Watch(SMALL, ledger, T0)
        for device, share in shares:
            occupied(watch, share, START, device)
        watch.turn(START + 2 * SECOND)
        return watch

    def test_only_what_differs_is_published(self, ledger: Ledger) -> None:
        watch, topics = self.there(ledger, ("pk-1", 0.95)), AlertTopics("p/alert/")
        [(topic, payload)] = topics.differences(watch.open, watch.names)
        assert topic == "p/alert/full/pk-1"
        told = msgspec.json.decode(payload)
        assert (told["level"], told["state"], told["name"], told["opened"]) == (
            "yellow",
            "unacknowledged",
            "Car park full",
            START,
        )
        assert list(topics.differences(watch.open, watch.names)) == []
        assert list(topics.differences((), watch.names)) == [(topic, b"")]

    def test_what_another_engine_left_is_made_equal_to_the_ledger(self, ledger: Ledger) -> None:
        watch, topics = self.there(ledger, ("pk-1", 0.95)), AlertTopics("p/alert/")
        topics.connected()
        topics.heard("p/alert/full/pk-2", b"{}")
        assert dict(topics.differences(watch.open, watch.names)).keys() == {"p/alert/full/pk-1", "p/alert/full/pk-2"}
        topics.heard("p/alert/full/pk-1", b"older")
        assert list(topics.differences(watch.open, watch.names)) == []
