"""The outbox on SQLite and on a real PostgreSQL: in once, out in order, taken by one, back after a failure."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from tests.told import POLICY, alarm
from tests.zone import T0
from twin.cases import Case
from twin.channels import Channel
from twin.clock import MINUTE, SECOND
from twin.ledger import Ledger, outbox
from twin.ledger.outbox import Notice, Retry, State
from twin.notices import Decision, Plan, Reason, plan
from twin.settings import Notices
from twin.standards import Level
from twin.wording import Words

DUTY, MAIL = Channel("duty"), Channel("mail")
LATER = T0 + 60 * SECOND
LEASE = 30 * SECOND
USUAL = Retry()


def decided(
    ledger: Ledger, cases: Sequence[Case], *, now: int = LATER, channels: Sequence[Channel] = (DUTY,)
) -> tuple[Decision, ...]:
    with ledger.transaction() as c:
        return plan(cases, channels, outbox.told(c), now=now, policy=POLICY).sends


def write(ledger: Ledger, sends: Sequence[Decision], *, at: int = LATER) -> int:
    with ledger.transaction() as c:
        return outbox.write(c, [(d, Words(f"title {d.key}", "body")) for d in sends], at=at)


def say(ledger: Ledger, *cases: Case, now: int = LATER, channels: Sequence[Channel] = (DUTY,)) -> int:
    return write(ledger, decided(ledger, cases, now=now, channels=channels), at=now)


def take(ledger: Ledger, *, now: int = LATER, owner: str = "a", channel: str = "duty") -> Notice | None:
    with ledger.transaction() as c:
        return outbox.take(c, channel, owner, now=now, lease=LEASE)


def taken(ledger: Ledger, *, now: int = LATER, owner: str = "a") -> Notice:
    found = take(ledger, now=now, owner=owner)
    assert found is not None
    return found


def everything(ledger: Ledger) -> list[Notice]:
    with ledger.transaction() as c:
        return outbox.notices(c)


def settle(ledger: Ledger, notice: Notice, *, now: int = LATER) -> None:
    with ledger.transaction() as c:
        outbox.sent(c, notice.id, now=now)


def fail(ledger: Ledger, notice: Notice, *, now: int = LATER, retry: Retry = USUAL) -> int | None:
    with ledger.transaction() as c:
        return outbox.failed(c, notice, now=now, error="HTTP 500", retry=retry)


def test_what_was_told_comes_back_as_it_was(ledger: Ledger) -> None:
    sends = decided(ledger, [alarm(1, Level.RED), alarm(2, unknown=True), alarm(3, group="b")], channels=(DUTY, MAIL))
    assert write(ledger, sends) == 4
    with ledger.transaction() as c:
        assert outbox.told(c) == {(d.channel, d.group): d.told for d in sends}
    assert (
        decided(ledger, [alarm(1, Level.RED), alarm(2, unknown=True), alarm(3, group="b")], channels=(DUTY, MAIL)) == ()
    )


def test_the_same_decision_made_twice_is_in_once(ledger: Ledger) -> None:
    sends = decided(ledger, [alarm(1)])
    assert [write(ledger, sends), write(ledger, sends)] == [1, 0]
    rose = decided(ledger, [alarm(1, Level.RED)])
    assert [write(ledger, rose), write(ledger, rose), write(ledger, sends)] == [1, 0, 0]
    with ledger.transaction() as c:
        assert [told.number for told in outbox.told(c).values()] == [2]
    assert [(n.reason, n.level, n.alarms) for n in everything(ledger)] == [
        ("rose", Level.RED, [1]),
        ("first", Level.YELLOW, [1]),
    ]


def test_only_what_sends_is_written(ledger: Ledger) -> None:
    with ledger.transaction() as c:
        waiting = plan([alarm(1)], [DUTY], {}, now=T0, policy=POLICY).decisions
        assert [d.reason for d in waiting] == [Reason.WAITING]
        assert outbox.write(c, [(d, Words("", "")) for d in waiting], at=T0) == 0


def test_a_transaction_that_fails_leaves_neither_notice_nor_memory(ledger: Ledger) -> None:
    sends = decided(ledger, [alarm(1)])

    def fail() -> None:
        with ledger.transaction() as c:
            outbox.write(c, [(d, Words("t", "b")) for d in sends], at=LATER)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert everything(ledger) == []
    assert decided(ledger, [alarm(1)]) == sends


def test_one_takes_it_and_no_other_until_its_lease_is_over(ledger: Ledger) -> None:
    say(ledger, alarm(1))
    first = taken(ledger, owner="a")
    assert (first.owner, first.tries, first.leased) == ("a", 1, LATER + LEASE)
    assert take(ledger, owner="b", now=LATER + LEASE - 1) is None
    second = taken(ledger, owner="b", now=LATER + LEASE)
    assert (second.id, second.owner, second.tries) == (first.id, "b", 2)


def test_what_is_sent_is_never_taken_again(ledger: Ledger) -> None:
    say(ledger, alarm(1))
    settle(ledger, taken(ledger))
    assert take(ledger, now=LATER + 1000 * LEASE) is None
    [sent] = everything(ledger)
    assert (sent.state, sent.settled, sent.error) == (State.SENT, LATER, "")


def test_what_was_sent_is_sent_even_by_one_who_lost_the_lease(ledger: Ledger) -> None:
    say(ledger, alarm(1))
    slow = taken(ledger, owner="a")
    quick = taken(ledger, owner="b", now=LATER + LEASE)
    settle(ledger, slow)
    fail(ledger, quick)
    assert [n.state for n in everything(ledger)] == [State.SENT]


def test_a_failure_of_one_who_lost_the_lease_changes_nothing(ledger: Ledger) -> None:
    say(ledger, alarm(1))
    slow = taken(ledger, owner="a")
    quick = taken(ledger, owner="b", now=LATER + LEASE)
    fail(ledger, slow, retry=Retry(tries=1))
    assert everything(ledger) == [quick]


def test_not_even_when_it_was_revived_meanwhile(ledger: Ledger) -> None:
    say(ledger, alarm(1))
    slow = taken(ledger, owner="a")
    fail(ledger, taken(ledger, owner="b", now=LATER + LEASE), retry=Retry(tries=1))
    with ledger.transaction() as c:
        outbox.revive(c, now=LATER + LEASE)
    again = taken(ledger, owner="c", now=LATER + LEASE)
    fail(ledger, slow, retry=Retry(tries=1))
    assert everything(ledger) == [again]


def test_failures_come_back_later_and_later_and_then_no_more(ledger: Ledger) -> None:
    retry = Retry(first=10 * SECOND, longest=60 * SECOND, tries=6)
    say(ledger, alarm(1))
    now, pauses = LATER, []
    while (again := fail(ledger, taken(ledger, now=now), now=now, retry=retry)) is not None:
        assert take(ledger, now=again - 1) is None
        pauses.append((again - now) / SECOND)
        now = again
    assert [round(p / b, 2) for p, b in zip(pauses, (10, 20, 40, 60, 60), strict=True)] == pytest.approx(
        [1] * 5, abs=0.251
    )
    assert len(set(pauses)) == 5
    [dead] = everything(ledger)
    assert (dead.state, dead.tries, dead.error, dead.settled) == (State.DEAD, 6, "HTTP 500", now)
    assert take(ledger, now=now + 1000 * LEASE) is None
    with ledger.transaction() as c:
        assert outbox.counts(c) == {("duty", State.DEAD): 1}
        assert outbox.revive(c, now=now) == 1
    assert taken(ledger, now=now).tries == 1


def test_a_group_leaves_in_order_and_holds_up_no_other(ledger: Ledger) -> None:
    say(ledger, alarm(1), alarm(9, group="b"))
    say(ledger, alarm(1, Level.RED), alarm(9, group="b"), now=LATER + 1)
    first, other = taken(ledger, now=LATER + 2), taken(ledger, now=LATER + 2)
    assert {first.reason, other.reason} == {"first"}
    assert take(ledger, now=LATER + 2) is None
    mine = first if first.alarms == [1] else other
    settle(ledger, mine)
    assert taken(ledger, now=LATER + 3).reason == "rose"


def test_what_was_given_up_holds_up_nothing(ledger: Ledger) -> None:
    say(ledger, alarm(1))
    say(ledger, alarm(1, Level.RED), now=LATER + 1)
    fail(ledger, taken(ledger, now=LATER + 2), retry=Retry(tries=1))
    assert taken(ledger, now=LATER + 2).reason == "rose"


def test_each_channel_has_its_own(ledger: Ledger) -> None:
    say(ledger, alarm(1), channels=(DUTY, MAIL))
    assert [take(ledger, channel=name) is not None for name in ("mail", "mail", "duty", "nobody")] == [
        True,
        False,
        True,
        False,
    ]


def test_many_who_take_at_once_take_each_one_once(ledger: Ledger) -> None:
    say(ledger, *(alarm(i, group=f"g{i}") for i in range(40)))
    gate = threading.Barrier(4)

    def work(owner: str) -> list[int]:
        gate.wait(20)
        found = []
        while (notice := take(ledger, owner=owner)) is not None:
            found.append(notice.id)
        return found

    with ThreadPoolExecutor(4) as pool:
        found = [id for ids in pool.map(work, "abcd") for id in ids]
    assert len(found) == len(set(found)) == 40


def test_many_who_decide_at_once_write_it_once(ledger: Ledger) -> None:
    sends = decided(ledger, [alarm(i, group=f"g{i}") for i in range(10)])
    gate = threading.Barrier(4)

    def work(_: int) -> int:
        gate.wait(20)
        return write(ledger, sends)

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, range(4))) == 10
    assert len(everything(ledger)) == 10


def test_what_was_settled_long_ago_is_forgotten_and_what_waits_is_not(ledger: Ledger) -> None:
    say(ledger, alarm(1), alarm(2, group="b"))
    settle(ledger, taken(ledger))
    with ledger.transaction() as c:
        assert outbox.forget(c, LATER) == 0
        assert outbox.forget(c, LATER + 1) == 1
    assert [n.state for n in everything(ledger)] == [State.WAITING]


def test_filters(ledger: Ledger) -> None:
    say(ledger, alarm(1), alarm(2, group="b"), channels=(DUTY, MAIL))
    settle(ledger, taken(ledger))
    with ledger.transaction() as c:
        assert len(outbox.notices(c, states=(State.SENT,))) == 1
        assert {n.channel for n in outbox.notices(c, channel="mail")} == {"mail"}
        assert len(outbox.notices(c, limit=3)) == 3
        assert outbox.counts(c) == {("duty", State.SENT): 1, ("duty", State.WAITING): 1, ("mail", State.WAITING): 2}


class TestRetry:
    def test_the_pause_is_drawn_from_the_notice(self) -> None:
        retry = Retry()
        assert [retry.pause(7, n) for n in range(1, 12)] == [retry.pause(7, n) for n in range(1, 12)]
        drawn = [retry.pause(id, 3) for id in range(2000)]
        assert min(drawn) >= 30 * SECOND
        assert max(drawn) <= 50 * SECOND
        assert len(set(drawn)) > 1500
        assert abs(sum(drawn) / 2000 - 40 * SECOND) < SECOND

    def test_it_has_an_end(self) -> None:
        assert Retry(longest=900 * SECOND).pause(1, 5000) <= 1125 * SECOND

    def test_of_the_settings(self) -> None:
        assert Retry.of(Notices()) == Retry()
        total = sum(Retry().pause(1, n) for n in range(1, Retry().tries))
        assert 60 * MINUTE < total < 120 * MINUTE, "an evening's outage of a service is outlived"


def test_words_are_kept_as_written(ledger: Ledger) -> None:
    [decision] = decided(ledger, [alarm(1)])
    words = Words("【红】冷通道过热 · 柜1 '35.2' ℃", '第二行\n"引号" \\ %s {x}')
    with ledger.transaction() as c:
        outbox.write(c, [(decision, words)], at=LATER)
    notice = taken(ledger)
    assert Words(notice.title, notice.body) == words
    assert msgspec.json.decode(msgspec.json.encode(notice), type=Notice) == notice


def test_announce_plans_words_and_writes_in_one_transaction(ledger: Ledger) -> None:
    def announce(now: int, *cases: Case) -> Plan:
        with ledger.transaction() as c:
            return outbox.announce(c, cases, [DUTY], now=now, policy=POLICY, link="https://x.cn", translate=str)

    assert announce(T0, alarm(1)).due == T0 + POLICY.wait
    assert everything(ledger) == []
    assert [d.reason for d in announce(LATER, alarm(1)).sends] == [Reason.FIRST]
    assert announce(LATER, alarm(1)).sends == ()
    [notice] = everything(ledger)
    assert notice.title == "[yellow] Cold aisle too warm · 柜1"
    assert "https://x.cn/alarms?alarm=1" in notice.body
