"""Timelines: publish at t, expect on the screen by t + x."""

from pathlib import Path

import pytest

from dashboards.opening import read_registry
from ingest import mapping
from simulators.timetable import Publisher
from simulators.world import World
from tests.system.park import Park
from tests.zone import PREFIX, SMALL, T0
from twin import air, snapshot
from twin.clock import MINUTE
from twin.settings import load
from twin.snapshot import NEVER_HEARD, UNKNOWN
from twin.store.duckdb import DuckDBStore
from twin.store.memory import MemoryStore


@pytest.fixture
def park() -> Park:
    made = Park(SMALL, MemoryStore(SMALL), T0)
    made.run(1000)
    return made


def test_a_reading_is_on_the_screen_within_one_delta(park: Park) -> None:
    assert park.shown("td-1")[0] == NEVER_HEARD
    park.publish("td-1", averageVehicleSpeed=50.0)
    park.run(250)
    assert park.shown("td-1") == (100, 0)


def test_the_view_follows_within_a_second(park: Park) -> None:
    park.publish("td-1", averageVehicleSpeed=12.0)
    park.run(1050)
    assert park.views[-1]["traffic"]["tpi"] == "8.7"
    assert park.views[-1]["traffic"]["state"] == "严重拥堵"
    assert park.views[-1]["traffic"]["coverage"] == "1/3"


def test_silence_is_on_the_screen_when_the_grace_ends(park: Park) -> None:
    park.publish("td-1", averageVehicleSpeed=50.0)
    park.run(180_000)
    assert park.shown("td-1")[0] == 100
    park.run(300)
    assert park.shown("td-1")[0] == UNKNOWN
    park.run(1000)
    rows = park.views[-1]["silent"]["rows"]
    assert ["设备 td-1", "智能交通", "3 分钟前"] in [row["cells"] for row in rows]


def test_a_lost_gateway_is_on_the_screen_at_once_and_its_return_too(park: Park) -> None:
    for device in ("td-1", "td-2"):
        park.publish(device, averageVehicleSpeed=50.0)
    park.run(250)
    park.send(f"{PREFIX}/gateway/gw-a/status", b"offline")
    park.run(250)
    assert park.shown("td-1")[0] == park.shown("td-2")[0] == UNKNOWN
    park.send(f"{PREFIX}/gateway/gw-a/status", b"online")
    park.publish("td-2", averageVehicleSpeed=25.0)
    park.run(250)
    assert park.shown("td-1")[0] == 100
    assert park.shown("td-2")[0] == 50


def test_a_late_reading_is_stored_and_does_not_disturb_the_screen(park: Park) -> None:
    park.publish("td-1", averageVehicleSpeed=50.0)
    park.publish("td-1", at=park.clock.now() - 90_000, averageVehicleSpeed=5.0)
    park.run(250)
    assert park.shown("td-1")[0] == 100
    assert len(park.store.series("td-1", "averageVehicleSpeed", T0 - 600_000, T0 + 600_000).at) == 2


def test_a_backlog_after_an_outage_is_history_and_disturbs_nothing(park: Park) -> None:
    """A gateway comes back and hands over an hour at once: all of it stored, the screen on the newest alone."""
    park.send(f"{PREFIX}/gateway/gw-a/status", b"offline")
    park.run(1_000)
    now = park.clock.now()
    park.send(f"{PREFIX}/gateway/gw-a/status", b"online")
    park.publish("td-1", averageVehicleSpeed=50.0)
    for minutes in range(60, 0, -1):
        park.publish("td-1", at=now - minutes * 60_000, averageVehicleSpeed=5.0)
    park.run(6_000)
    assert {int(f.value[0]) for f in park.frames if f.index is None} <= {NEVER_HEARD, UNKNOWN, 100}
    assert park.shown("td-1")[0] == 100
    assert park.views[-1]["traffic"]["tpi"] == "1.1"
    assert len(park.store.series("td-1", "averageVehicleSpeed", T0 - 10**7, now + 1).at) == 61
    # Known then: nothing of it had been received a minute ago
    assert park.store.zone(now - 60_000, known=now - 60_000) == {}
    assert park.relay.health is not None
    found = park.relay.health.devices[0]
    assert (found.count, found.past, found.clock_ms) == (61, 60, 0)


def test_a_clock_47_s_off_is_told(park: Park) -> None:
    for _ in range(8):
        park.publish("ns-1", at=park.clock.now() + 47_000, LAeq=55.0)
        park.publish("aq-1", pm25=30.0)
        park.run(60_000)
    assert park.relay.health is not None
    clocks = {d.id: h.clock_ms for d, h in zip(SMALL, park.relay.health.devices, strict=True)}
    assert clocks["ns-1"] == 47_000
    assert clocks["aq-1"] == 0


def test_a_foreign_feed_is_on_the_screen(tmp_path: Path) -> None:
    (tmp_path / "mapping.toml").write_text(
        """
        [[feed]]
        name = "loops"
        topic = "vendor/{loop}/state"
        device = "{loop}"
        at = "$.t"
        time = "s"
        [feed.values]
        averageVehicleSpeed = { path = "$.mps", factor = 3.6 }
        [feed.devices]
        "L7" = "td-1"

        [[gateway]]
        topic = "vendor/hub"
        online = "up"
        gateway = "gw-a"
        """,
        encoding="utf-8",
    )
    park = Park(SMALL, MemoryStore(SMALL), T0, mapping=mapping.read(tmp_path / "mapping.toml", SMALL, prefix=PREFIX))
    park.run(1_000)
    park.send("vendor/L7/state", b'{"t": %d, "mps": 13.888888888888889}' % (park.clock.now() // 1000))
    park.run(250)
    assert park.shown("td-1")[0] == 100
    park.send("vendor/hub", b"down")
    park.run(250)
    assert park.shown("td-1")[0] == UNKNOWN


def test_a_restarted_engine_shows_what_was_known(park: Park) -> None:
    park.publish("td-1", averageVehicleSpeed=50.0)
    park.run(5_000)
    park.restart_engine()
    park.frames.clear()
    park.run(250)
    assert park.frames[0].index is None
    assert park.shown("td-1") == (100, 0)


def test_a_screen_that_comes_later_sees_the_same(park: Park) -> None:
    park.publish("td-1", averageVehicleSpeed=50.0)
    park.run(3_400)
    late = Park(SMALL, park.store, T0)
    late.screen = type(park.screen)("zh")
    park.relay._catch_up(late.screen)
    late._read_screen()
    assert late.shown("td-1") == park.shown("td-1")


def test_the_frame_at_t_is_the_frame_made_from_the_store_as_known_then(park: Park) -> None:
    park.publish("td-1", averageVehicleSpeed=50.0)
    park.publish("pk-1", occupancy=0.93, occupiedSpotNumber=186, availableSpotNumber=14)
    park.run(9_500)
    park.publish("td-1", at=park.clock.now() - 2_000, averageVehicleSpeed=20.0)
    park.run(10_000)
    key = next(f for f in reversed(park.frames) if f.index is None)
    then = snapshot.of(SMALL, park.store.zone(key.at, known=key.at).values())
    value, status = then.bytes_at(key.at)
    assert key.value.tolist() == value.tolist()
    assert key.status.tolist() == status.tolist()
    # and what came later is not in it
    park.publish("td-1", at=key.at - 100, averageVehicleSpeed=5.0)
    again = snapshot.of(SMALL, park.store.zone(key.at, known=key.at).values())
    assert again.bytes_at(key.at)[0].tolist() == value.tolist()


def test_the_hour_of_air_outlives_the_engine_and_can_be_asked_of_the_store(park: Park) -> None:
    clean = {"pm10": 20.0, "so2": 5.0, "no2": 20.0, "co": 0.5, "o3": 60.0}
    for minute in range(50):
        park.publish("aq-1", at=T0 + minute * MINUTE, pm25=80.0 if minute < 25 else 100.0, **clean)
        park.clock.advance(MINUTE)
    park.clock.advance(10 * MINUTE)
    park.run(1_050)
    # 90 µg/m³: 100 + 50/55*30 = 127.3
    assert (park.views[-1]["air"]["aqi"], park.views[-1]["air"]["hour"]) == ("128", "8–9时")
    before = park.clock.now()
    park.restart_engine()
    park.clock.advance(MINUTE)
    park.publish("aq-1", at=T0 + 55 * MINUTE, pm25=600.0, **clean)
    park.run(1_050)
    # One that came late: 51 readings make 100 µg/m³
    assert (park.views[-1]["air"]["aqi"], park.views[-1]["air"]["hour"]) == ("137", "8–9时")
    for known, pm25 in ((before, 90.0), (None, 100.0)):
        hours = air.recall(SMALL, park.store, park.clock.now(), known=known)
        assert hours.means(T0)["aq-1"]["pm25"] == pm25


def test_rubbish_does_not_stop_the_zone(park: Park) -> None:
    for what in (b"", b"\xff", b"[" * 50_000, b'{"values": {"averageVehicleSpeed": 1e99}}', b"null"):
        park.send(f"{PREFIX}/traffic/td-1/obs", what)
        park.send(what.decode("latin-1")[:60], b"{}")
    park.publish("td-1", averageVehicleSpeed=50.0)
    park.run(250)
    assert park.shown("td-1")[0] == 100


def test_the_whole_zone_speaks_and_is_shown(tmp_path: Path) -> None:
    """The shipped registry, its simulated sensors, DuckDB, engine and relay: nobody is unknown after one period."""
    registry = read_registry(load(environ={}))
    store = DuckDBStore(registry, tmp_path / "o.duckdb")
    zone = Park(registry, store, T0)
    sensors = Publisher(World(registry, seed=7, start=T0), origin=T0, prefix=PREFIX)
    for _ in range(62):
        zone.run(1_000)
        zone.clock.advance(7)  # what comes in the very millisecond of a frame may be in it or not
        for where, what, _ in sensors.due(zone.clock.now()):
            zone.send(where, what)
    zone.run(1_050)
    view = zone.views[-1]
    assert view["silent"]["count"] == "0"
    assert all(d["coverageTone"] == "good" for d in view["domains"].values())
    assert "—" not in (view["traffic"]["tpi"], view["compute"]["pue"], view["parking"]["free"])
    assert (view["air"]["aqi"], view["air"]["level"]) == ("—", "尚无完整小时")
    key = next(f for f in reversed(zone.frames) if f.index is None)
    then = snapshot.of(registry, store.zone(key.at, known=key.at).values())
    assert key.value.tolist() == then.bytes_at(key.at)[0].tolist()
    assert key.status.tolist() == then.bytes_at(key.at)[1].tolist()
    store.close()
