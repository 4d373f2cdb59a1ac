"""As known then: whatever history a zone has lived through, replay shows what the screens showed, byte by byte."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts.influx_server import InfluxServer, influx_behind_nginx
from tests.lived import WORDS, ZONE, Again, Commit, Event, Gateway, Life, Person, Say
from tests.zone import T0
from twin import kpi, replay, snapshot
from twin.clock import DAY, HOUR, MINUTE, SECOND
from twin.ledger import Ledger, sqlite_url
from twin.observation import METRICS, Observation, columns
from twin.past import Why
from twin.replay import Span, View
from twin.snapshot import NEVER_HEARD, UNKNOWN, Shown
from twin.store import Said, Store
from twin.store.duckdb import DuckDBStore
from twin.store.influx import InfluxStore
from twin.store.memory import MemoryStore

GROUPING = kpi.Grouping(ZONE)
LATE = [0, 0, 0, 80, 700, 5 * SECOND, 35 * SECOND, 10 * MINUTE, 3 * HOUR, -SECOND, -200 * SECOND]
events = st.one_of(
    st.builds(Say, st.sampled_from(sorted(WORDS)), st.integers(0, 2), st.sampled_from(LATE)),
    st.builds(Say, st.sampled_from(["pk-1", "mh-1", "up-1", "td-1"]), st.integers(0, 2), st.just(0)),
    st.builds(Again, st.integers(0, 3), st.none() | st.integers(0, 2)),
    st.builds(Gateway, st.sampled_from(["gw-a", "gw-b"]), st.booleans()),
    st.builds(Person, st.sampled_from(["acknowledge", "shelve", "unshelve", "out", "in"])),
    st.builds(Commit, st.integers(0, 1)),
)
GAPS = [0, 0, 1, 300, SECOND, SECOND, 9 * SECOND, 31 * SECOND, MINUTE, 4 * MINUTE, 50 * MINUTE]
histories = st.lists(st.tuples(st.sampled_from(GAPS), events, st.booleans()), min_size=1, max_size=25)
History = list[tuple[int, Event, bool]]


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with nothing in it, to be copied: making one takes longer than living through a history."""
    file = tmp_path_factory.mktemp("ledger") / "blank.sqlite"
    Ledger(sqlite_url(file)).close()
    return file


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxServer]:
    with influx_behind_nginx(tmp_path_factory.mktemp("influx")) as made:
        yield made


def lived(history: History, store: Store, blank: Path) -> Life:
    file = blank.with_name(f"{os.urandom(6).hex()}.sqlite")
    shutil.copy(blank, file)
    life = Life(store, Ledger(sqlite_url(file)))
    for gap, event, look in history:
        life.until(life.now + gap)
        life.happen(event)
        # Frames are compared at full seconds, where replay has its steps
        if look:
            life.until(-(-life.now // SECOND) * SECOND)
            life.look()
    life.until(life.now + 4 * MINUTE)
    return life


def holds(life: Life, begin: int) -> None:
    past, last = life.past, max(life.shown)
    begin = min(T0 + begin * SECOND, last)
    chunk = replay.decode(replay.encode(past.chunk(View.THEN, Span(begin, last + 1, SECOND))))
    for at, shown in life.shown.items():
        if at >= begin:
            value, status = chunk.frame((at - begin) // SECOND)
            assert (value.tolist(), status.tolist()) == (shown.value.tolist(), shown.status.tolist()), at - T0
    # The rest of the wall, minute by minute
    begin = -(-begin // MINUTE) * MINUTE
    if begin <= last:
        for moment in past.moments(View.THEN, Span(begin, last + 1, MINUTE)):
            if moment.at not in life.shown:
                continue
            shown = life.shown[moment.at]
            assert [p.tolist() for p in moment.zone.bytes_at(moment.at)] == [
                shown.value.tolist(),
                shown.status.tolist(),
            ]
            found = kpi.indicators(GROUPING, moment.zone, moment.hours, moment.at)
            assert msgspec.json.decode(msgspec.json.encode(found)) == msgspec.json.decode(shown.indicators)
            assert msgspec.json.decode(msgspec.json.encode(moment.ringing)) == msgspec.json.decode(shown.ringing)


@given(histories, st.integers(0, 400))
@settings(max_examples=40)
def test_in_memory_the_past_is_what_was_shown(blank: Path, history: History, begin: int) -> None:
    holds(lived(history, MemoryStore(ZONE), blank), begin)


@given(histories, st.integers(0, 400))
@settings(max_examples=20)
def test_in_duckdb_the_past_is_what_was_shown(blank: Path, history: History, begin: int) -> None:
    store = DuckDBStore(ZONE, blank.with_name(f"{os.urandom(6).hex()}.duckdb"))
    try:
        holds(lived(history, store, blank), begin)
    finally:
        store.close()


@pytest.mark.server
@given(histories, st.integers(0, 400))
@settings(max_examples=10)
def test_in_influxdb_the_past_is_what_was_shown(
    server: InfluxServer, blank: Path, history: History, begin: int
) -> None:
    address = server.address._replace(bucket=f"lived{os.urandom(6).hex()}/autogen")
    holds(lived(history, InfluxStore(ZONE, **address._asdict(), timeout_s=20), blank), begin)


def test_a_lost_gateway_is_dark_in_the_past_too(blank: Path) -> None:
    """What a reader can follow: said, lost, said again, back."""
    history: History = [
        (0, Say("td-1", 2, 0), True),
        (10 * SECOND, Gateway("gw-a", online=False), True),
        (10 * SECOND, Say("td-2", 0, 0), True),
        (10 * SECOND, Gateway("gw-a", online=True), True),
    ]
    life = lived(history, MemoryStore(ZONE), blank)
    holds(life, 0)
    chunk = life.past.chunk(View.THEN, Span(T0, T0 + 60 * SECOND, SECOND))
    road, again = ([int(chunk.frame(k)[0][ZONE.index[name]]) for k in range(40)] for name in ("td-1", "td-2"))
    assert road[:10] == [110] * 10
    assert set(road[12:30]) == {UNKNOWN}
    assert road[35] == 110, "it is back, and what was said before is still fresh"
    assert set(again[:20]) == {NEVER_HEARD}
    assert again[25] == 40, "heard since the gateway was lost"


def test_late_and_corrected_readings_part_the_two_views(blank: Path) -> None:
    history: History = [
        (0, Say("pk-1", 0, 0), True),
        (30 * SECOND, Again(0, 1), True),
        (30 * SECOND, Say("up-1", 2, 35 * SECOND), True),
    ]
    life = lived(history, MemoryStore(ZONE), blank)
    holds(life, 0)
    then, now = (life.past.chunk(view, Span(T0, T0 + 90 * SECOND, SECOND)) for view in View)
    lot, underpass = ZONE.index["pk-1"], ZONE.index["up-1"]
    assert [int(c.frame(20)[0][lot]) for c in (then, now)] == [40, 190], "corrected half a minute later"
    assert int(then.frame(40)[0][lot]) == 190
    assert [int(c.frame(40)[0][underpass]) for c in (then, now)] == [NEVER_HEARD, 60], "it came 35 s late"
    instant = T0 + 20 * SECOND
    [corrected] = life.past.differences(instant)
    assert (corrected.device, list(corrected.why), corrected.shown) == ("pk-1", [Why.CORRECTED], True)
    late = next(d for d in life.past.differences(T0 + 40 * SECOND) if d.device == "up-1")
    assert (late.why[-1], late.then, late.shown) == (Why.LATE, None, True)


@given(histories, st.integers(0, 400), st.sampled_from([2, 7, 60, 600]))
@settings(max_examples=20)
def test_a_longer_step_shows_the_same_at_its_steps(blank: Path, history: History, begin: int, step: int) -> None:
    life = lived(history, MemoryStore(ZONE), blank)
    begin, end = T0 + begin * SECOND, max(life.shown) + 1
    if begin < end:
        for view in View:
            fine = life.past.chunk(view, Span(begin, end, SECOND))
            coarse = life.past.chunk(view, Span(begin, end, step * SECOND))
            for k in range(coarse.span.steps):
                assert [p.tolist() for p in coarse.frame(k)] == [p.tolist() for p in fine.frame(k * step)]


observed = st.builds(
    lambda name, values, at: Observation(name, T0 + at, values, T0 + at),
    st.sampled_from(["td-1", "aq-1", "ns-1", "wt-1", "pk-1", "mh-1", "up-1", "sl-1"]),
    st.dictionaries(st.sampled_from(sorted(METRICS)), st.floats(0, 300), min_size=1, max_size=6),
    st.integers(0, DAY),
)


@given(st.lists(observed, min_size=1, max_size=30))
def test_what_many_readings_show_is_what_each_shows(found: list[Observation]) -> None:
    shown = Shown(ZONE)
    for domain in {ZONE[o.device].domain for o in found}:
        rows = [o for o in found if ZONE[o.device].domain is domain]
        said = Said(
            np.array([ZONE.index[o.device] for o in rows], np.int32),
            np.array([o.at for o in rows]),
            np.array([o.received for o in rows]),
            {m: np.array([o.values.get(m, np.nan) for o in rows]) for m in columns(domain)},
        )
        kept = [{m: v for m, v in o.values.items() if m in columns(domain)} for o in rows]
        value, band = shown.of(said)
        devices = [ZONE[o.device] for o in rows]
        assert value.tolist() == [snapshot.display_byte(d, v) for d, v in zip(devices, kept, strict=True)]
        assert band.tolist() == [snapshot.band(d, v, o.at) for d, v, o in zip(devices, kept, rows, strict=True)]


@pytest.mark.parametrize("wrong", [b"", b"GR", b"XX" + bytes(60), bytes(200)])
def test_what_is_no_chunk_is_refused_with_a_word(wrong: bytes) -> None:
    with pytest.raises(ValueError, match="chunk"):
        replay.decode(wrong)
