import pytest

from tests.zone import SMALL, T0, link, seen
from twin.clock import HOUR, MINUTE
from twin.health import FEWEST, DeviceHealth, Health, Sequence
from twin.registry import Registry

LINKS = Registry([link(f"td-{i}") for i in range(8)])  # one kind, one period
PERIOD = LINKS["td-0"].period_s * 1000
ALL_KNOWN = [True] * len(LINKS)


def of(health: Health, device: str, now: int) -> DeviceHealth:
    return health.report(now, ALL_KNOWN).devices[LINKS.index[device]]


def fed(health: Health, device: str, count: int, *, begin: int = T0, lag: int = 200, step: int = PERIOD) -> int:
    """`count` readings a step apart, received `lag` ms late; returns the time of the last."""
    for i in range(count):
        at = begin + i * step
        health.fold(seen(device, at, at + lag, intensity=1.0))
    return begin + (count - 1) * step


def test_what_is_remembered_is_not_counted() -> None:
    health = Health(LINKS, T0)
    health.remember(seen("td-1", T0 - 5, intensity=1.0))
    found = of(health, "td-1", T0)
    assert (found.at, found.received, found.count, found.kept) == (T0 - 5, T0 - 5, 0, -1.0)
    assert of(health, "td-2", T0).at == -1


def test_a_device_that_keeps_its_period() -> None:
    health = Health(LINKS, T0)
    last = fed(health, "td-1", 10)
    found = of(health, "td-1", last + PERIOD)
    assert (found.count, found.kept, found.past, found.clock_ms) == (10, 1.0, 0, 0)


def test_every_other_reading_missed_is_half_kept() -> None:
    health = Health(LINKS, T0)
    last = fed(health, "td-1", 11, step=2 * PERIOD)
    assert of(health, "td-1", last).kept == 0.5


def test_silence_counts_as_it_goes_on_but_not_for_ever() -> None:
    health = Health(LINKS, T0)
    last = fed(health, "td-1", 11)
    assert of(health, "td-1", last + 11 * PERIOD).kept == pytest.approx(0.5)
    assert 0 < of(health, "td-1", last + 100 * HOUR).kept < 0.2


def test_only_this_hour_and_the_last_count() -> None:
    health = Health(LINKS, T0)
    bad = fed(health, "td-1", HOUR // PERIOD // 2, step=2 * PERIOD)
    assert of(health, "td-1", bad).kept == pytest.approx(0.5, abs=0.02)
    good = fed(health, "td-1", 2 * HOUR // PERIOD, begin=T0 + HOUR)
    assert of(health, "td-1", good).kept > 0.99


def test_backlog_is_past_and_changes_neither_the_last_word_nor_the_periods() -> None:
    health = Health(LINKS, T0)
    last = fed(health, "td-1", 10)
    for i in range(5):
        health.fold(seen("td-1", T0 - HOUR + i * PERIOD, last + 1, intensity=9.0))
    found = of(health, "td-1", last)
    assert (found.at, found.past, found.count, found.kept) == (last, 5, 15, 1.0)


def test_readings_refused_are_counted_where_a_device_is_known() -> None:
    health = Health(LINKS, T0)
    for device in ("td-1", "td-1", "nobody", ""):
        health.refuse(device)
    assert of(health, "td-1", T0).refused == 2


def test_a_gateway_that_is_gone_cuts_its_devices_off() -> None:
    health = Health(LINKS, T0)
    health.gateway("gw-a", False)
    report = health.report(T0, ALL_KNOWN)
    assert all(d.cut for d in report.devices)
    assert report.gateways == {"gw-a": False}
    health.gateway("gw-a", True)
    assert not of(health, "td-1", T0).cut


class TestClock:
    @pytest.mark.parametrize("off", [47_000, -47_000])
    def test_a_clock_47_s_off_is_found_among_its_peers(self, off: int) -> None:
        health = Health(LINKS, T0)
        # All of them stamp the beginning of their period, which is no fault
        for i, device in enumerate(LINKS):
            fed(health, device.id, 10, lag=PERIOD + i * 10 - (off if device.id == "td-3" else 0))
        found = [d.clock_ms for d in health.report(T0, ALL_KNOWN).devices]
        assert found[3] == pytest.approx(off, abs=100)
        assert [c for i, c in enumerate(found) if i != 3] == [0] * 7

    def test_alone_only_what_no_habit_explains(self) -> None:
        for lag, expected in ((PERIOD, 0), (-47_000, 47_000), (PERIOD + 47_000, -47_000)):
            health = Health(LINKS, T0)
            fed(health, "td-1", 10, lag=lag)
            assert of(health, "td-1", T0).clock_ms == expected

    def test_a_network_that_comes_and_goes_is_no_clock(self) -> None:
        health = Health(LINKS, T0)
        for device in LINKS:
            fed(health, device.id, 10)
        # A backlog delivered at once: every lag is another
        for i in range(16):
            health.fold(seen("td-1", T0 + HOUR + i * 3 * MINUTE, T0 + 2 * HOUR, intensity=1.0))
        assert of(health, "td-1", T0).clock_ms == 0

    def test_a_clock_put_right_is_forgotten(self) -> None:
        health = Health(LINKS, T0)
        fed(health, "td-1", 10, lag=-47_000)
        assert of(health, "td-1", T0).clock_ms == 47_000
        fed(health, "td-1", 16, begin=T0 + HOUR)
        assert of(health, "td-1", T0).clock_ms == 0

    def test_too_few_readings_say_nothing(self) -> None:
        health = Health(LINKS, T0)
        fed(health, "td-1", FEWEST - 1, lag=-47_000)
        assert of(health, "td-1", T0).clock_ms == 0


class TestSequence:
    def taken(self, *numbers: int, older: tuple[int, ...] = ()) -> Sequence:
        """The numbers in order, each of a later reading unless its position is in `older`."""
        sequence = Sequence()
        for position, number in enumerate(numbers):
            sequence.take(number, newer=position not in older)
        return sequence

    def test_in_order(self) -> None:
        s = self.taken(5, 6, 7)
        assert (s.missing, s.repeated, s.late, s.restarts) == (0, 0, 0, 0)

    def test_a_gap_is_missing_until_it_comes_late(self) -> None:
        assert self.taken(1, 2, 6).missing == 3
        s = self.taken(1, 2, 6, 4, older=(3,))
        assert (s.missing, s.late) == (2, 1)

    def test_a_number_seen_before_is_a_repeat(self) -> None:
        s = self.taken(1, 2, 3, 2, 3, older=(3, 4))
        assert (s.missing, s.repeated, s.late) == (0, 2, 0)

    def test_going_back_while_time_goes_on_is_a_restart(self) -> None:
        s = self.taken(100, 101, 0, 1)
        assert (s.missing, s.repeated, s.restarts) == (0, 0, 1)

    def test_a_jump_is_no_loss_of_ten_thousand(self) -> None:
        s = self.taken(1, 1_000_000, 1_000_001)
        assert (s.missing, s.restarts) == (0, 1)

    def test_what_is_older_than_is_remembered_is_let_be(self) -> None:
        s = self.taken(1, 2, 200, 3, older=(3,))
        assert (s.missing, s.late, s.repeated) == (197, 0, 0)


def test_health_takes_any_device_of_any_registry() -> None:
    health = Health(SMALL, T0)
    health.fold(seen("nobody", intensity=1.0), 3)
    assert len(health.report(T0, [False] * len(SMALL)).devices) == len(SMALL)
