from dashboards.views.devices import page
from ingest.quarantine import Brief
from ingest.worker import Status
from tests.zone import SMALL, T0, seen
from twin.clock import MINUTE
from twin.health import Health, ZoneHealth

DISTRICTS = {"dist:aihub": "AI创新港"}


def health(now: int = T0) -> ZoneHealth:
    folded = Health(SMALL, now)
    for i in range(10):
        folded.fold(seen("td-1", now - (9 - i) * MINUTE, intensity=1.0), i * 2)
        folded.fold(seen("ns-1", now - (9 - i) * MINUTE + 47_000, now - (9 - i) * MINUTE, LAeq=55.0))
    folded.fold(seen("td-2", now - MINUTE, intensity=1.0))
    folded.refuse("td-1")
    folded.gateway("gw-a", False)
    return folded.report(now, [d.id in ("td-1", "ns-1") for d in SMALL])


def made(report: ZoneHealth | None, *workers: Status, now: int = T0, language: str = "en"):
    return page(SMALL, report, workers, now, language, DISTRICTS)


def test_a_row_says_how_a_device_reports() -> None:
    rows = {r["id"]: r for r in made(health()).rows}
    first = rows["td-1"]
    assert (first["state"], first["ageText"], first["count"], first["missing"], first["refused"]) == (
        "Reporting",
        "0 s ago",
        10,
        9,
        1,
    )
    assert (first["kept"], first["district"]) == (100.0, "AI创新港")
    assert (rows["ns-1"]["clock"], rows["ns-1"]["clockText"]) == (47, "47 s fast")
    assert rows["td-2"]["state"] == "Gateway offline"
    assert (rows["aq-1"]["state"], rows["aq-1"]["ageText"], rows["aq-1"]["tone"]) == ("Never heard", "—", "none")
    assert [r["id"] for r in rows.values() if r["trouble"]] == ["td-1", "td-2", "ns-1"]


def test_totals_and_gateways() -> None:
    found = made(health(), language="zh")
    assert found.totals[0] == ("正常上报", f"2 / {len(SMALL)}", "warn")
    assert ("失联", "1", "bad") in found.totals
    assert ("时钟异常", "1", "warn") in found.totals
    assert ("丢失报文（自启动）", "9", "warn") in found.totals
    assert found.gateways == [("gw-a", "离线 · 3 台设备", "severe"), ("gw-b", "无状态 · 1 台设备", "none")]


def test_without_a_report_nothing_is_known_and_nothing_is_green() -> None:
    for report in (None, health(T0 - MINUTE), health().__class__(T0, T0, 1, [], {})):
        found = made(report)
        assert found.at is None
        assert {t for _, _, t in found.totals[:-1]} == {"none"}
        assert {r["state"] for r in found.rows} == {"—"}
        assert {g[2] for g in found.gateways} == {"none"}


def test_workers_say_how_they_fare() -> None:
    spooling = Status("w1", T0, "spooling", "502", received=5, spool_bytes=10**6, spool_limit=4 * 10**6)
    holding = Status("w2", T0, "holding", "disk full")
    silent = Status("w3", T0 - MINUTE, "storing")
    first, second, third = made(health(), holding, silent, spooling).workers
    assert (first["state"], first["why"], first["fill"], first["spool"]) == (
        "database away, kept on disk",
        "502",
        25.0,
        "1.0 / 4 MB",
    )
    assert (second["tone"], second["why"]) == ("severe", "disk full")
    assert (third["state"], third["tone"]) == ("not running", "bad")


def test_the_quarantine_of_all_workers_is_one() -> None:
    briefs = [Brief(f"q{i}", T0 + i, "t", "td-1", "range", "too much", "{}") for i in range(3)]
    one = Status("w1", T0, "storing", quarantine={"range": 2, "json": 1}, newest=[briefs[0], briefs[2]])
    two = Status("w2", T0, "storing", quarantine={"range": 5}, newest=[briefs[1]])
    found = made(health(), one, two)
    assert found.reasons == [
        ("range", "value is outside its valid range", 7),
        ("json", "payload is not JSON", 1),
    ]
    assert [r["id"] for r in found.refused] == ["q2", "q1", "q0"]
    assert found.totals[-1] == ("Refused, waiting", "8", "warn")
