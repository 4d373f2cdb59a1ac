"""The quarantine as the person at the shell has it: list, show, mend the cause, retry."""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from ingest import quarantine, retry
from ingest.decode import Decoder, Reason, Rejection
from ingest.quarantine import Quarantine, Refused
from ingest.worker import Worker
from tests.servers import mosquitto, wait_until
from tests.zone import PREFIX, SMALL, T0, link, payload, topic
from twin import registry as registries
from twin.clock import SystemClock
from twin.errors import BrokerError
from twin.registry import Registry
from twin.settings import Broker, Ingest
from twin.store.memory import MemoryStore

BAD = Rejection(Reason.RANGE, "too much", "td-1")


def refused(i: int = 0, body: bytes = b"{}") -> Refused:
    return Refused(topic("td-1"), body, T0 + i, [BAD])


class TestFiles:
    def test_what_is_kept_is_read_back(self, tmp_path: Path) -> None:
        kept = Quarantine(tmp_path, "w1")
        bodies = [b"{}", "中文".encode(), b"\xff\xfe\x00", b"", b"x\ny", b'{"a": "\\u0000"}']
        kept.keep(refused(i, body) for i, body in enumerate(bodies))
        entries = list(quarantine.read(tmp_path))
        assert [e.content for e in entries] == bodies
        assert [e.received for e in entries] == [T0 + i for i in range(6)]
        assert entries[0].device == "td-1"
        assert len({e.id for e in entries}) == 6

    def test_what_is_larger_than_a_payload_may_be_is_cut_and_says_so(self, tmp_path: Path) -> None:
        Quarantine(tmp_path, "w1").keep([refused(0, b"x" * ((1 << 20) + 1))])
        [entry] = quarantine.read(tmp_path)
        assert (len(entry.content), entry.size) == (1 << 20, (1 << 20) + 1)

    def test_several_workers_share_a_folder(self, tmp_path: Path) -> None:
        for name in ("w1", "w2"):
            Quarantine(tmp_path, name).keep([refused()])
        assert [e.id[:2] for e in quarantine.read(tmp_path)] == ["w1", "w2"]

    def test_it_stays_within_its_bound_and_keeps_the_newest(self, tmp_path: Path) -> None:
        kept = Quarantine(tmp_path, "w1", limit=20_000)
        for i in range(1_000):
            kept.keep([refused(i)])
        assert sum(p.stat().st_size for p in tmp_path.iterdir()) <= 40_000
        received = [e.received for e in quarantine.read(tmp_path)]
        assert received == list(range(received[0], T0 + 1_000))

    def test_half_a_line_is_left_out(self, tmp_path: Path) -> None:
        kept = Quarantine(tmp_path, "w1")
        kept.keep([refused(0), refused(1)])
        kept.path.write_bytes(kept.path.read_bytes()[:-9])
        assert [e.received for e in quarantine.read(tmp_path)] == [T0]

    def test_a_torn_line_does_not_swallow_the_next(self, tmp_path: Path) -> None:
        kept = Quarantine(tmp_path, "w1")
        kept.keep([refused(0), refused(1)])
        kept.path.write_bytes(kept.path.read_bytes()[:-9])
        Quarantine(tmp_path, "w1").keep([refused(2)])
        assert [e.received for e in quarantine.read(tmp_path)] == [T0, T0 + 2]

    def test_lines_that_the_disk_has_damaged_stop_nothing(self, tmp_path: Path) -> None:
        kept = Quarantine(tmp_path, "w1")
        kept.keep([refused(i, b"\xff" if i == 1 else b"{}") for i in range(3)])
        good = kept.path.read_bytes().splitlines(keepends=True)
        bad = [
            good[0].replace(b"too much", b"too \xffuch"),
            good[1].replace(b'"/w=="', b'"/w"'),
            b'{"id": 3}\n',
            b"\0\0\n",
        ]
        no_grounds = good[0][: good[0].index(b'"grounds"')] + b'"grounds":[]}\n'
        kept.path.write_bytes(b"".join([*bad, no_grounds, good[2]]))
        (tmp_path / "retried").write_bytes(b"\xff\xfe rubbish")
        assert [e.received for e in quarantine.read(tmp_path)] == [T0 + 2]
        assert Quarantine(tmp_path, "w1").waiting == {"range": 1}

    def test_a_full_disk_leaves_only_whole_lines(self, tmp_path: Path) -> None:
        """In a process of its own whose files may not grow past a bound; `keep` says for each whether it is safe."""
        code = f"""
            import resource, signal
            from pathlib import Path
            from ingest import quarantine
            from tests.system.test_quarantine import refused
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            folder = Path({str(tmp_path)!r})
            kept, safe = quarantine.Quarantine(folder, "w1"), []
            for i in range(60):
                resource.setrlimit(resource.RLIMIT_FSIZE, (700 + i * 97, resource.RLIM_INFINITY))
                try:
                    kept.keep([refused(i * 3 + k) for k in range(3)])
                    safe += [i * 3, i * 3 + 1, i * 3 + 2]
                except OSError:
                    pass
            assert 10 < len(safe) < 180, len(safe)
            assert [e.received - {T0} for e in quarantine.read(folder)] == safe
        """
        subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)

    def test_what_is_settled_waits_no_longer(self, tmp_path: Path) -> None:
        kept = Quarantine(tmp_path, "w1")
        kept.keep([refused(0), refused(1), refused(2)])
        first, second, third = quarantine.read(tmp_path)
        quarantine.settled(tmp_path, [second])
        assert list(quarantine.read(tmp_path)) == [first, third]
        quarantine.settled(tmp_path, [first])
        assert list(quarantine.read(tmp_path)) == [third]

    def test_an_empty_folder_has_nothing(self, tmp_path: Path) -> None:
        assert list(quarantine.read(tmp_path / "none")) == []


class TestDecodingAgain:
    def test_a_reading_once_ahead_of_its_time_is_taken_later(self, tmp_path: Path) -> None:
        decoder = Decoder(SMALL, prefix=PREFIX)
        body = payload(T0 + 600_000, intensity=1)
        Quarantine(tmp_path, "w1").keep([Refused(topic("td-1"), body, T0, [BAD])])
        [now] = retry.decode(quarantine.read(tmp_path), decoder, T0 + 1)
        assert [r.reason for r in now.refused] == [Reason.FUTURE]
        [later] = retry.decode(quarantine.read(tmp_path), decoder, T0 + 86_400_000)
        assert later.whole
        assert later.observations[0].at == T0 + 600_000
        assert decoder.future == 300_000

    def test_a_reading_without_a_time_keeps_that_of_its_receipt(self, tmp_path: Path) -> None:
        Quarantine(tmp_path, "w1").keep([Refused(topic("td-1"), payload(None, intensity=1), T0, [BAD])])
        [tried] = retry.decode(quarantine.read(tmp_path), Decoder(SMALL, prefix=PREFIX), T0 + 86_400_000)
        assert tried.observations[0].at == T0


class Place(NamedTuple):
    folder: Path
    port: int
    store: MemoryStore
    workers: list[Worker]

    def start(self, registry: Registry) -> None:
        decoder = Decoder(registry, prefix=PREFIX)
        self.workers.append(Worker(self.store, decoder, self.folder, SystemClock(), Ingest(), Broker(port=self.port)))
        self.workers[-1].start()
        assert self.workers[-1].connected.wait(10)

    def restart(self) -> None:
        """With the registry that the file holds now."""
        self.workers[-1].stop()
        self.start(registries.read(self.folder / "devices.json"))

    def gaoxin(self, *arguments: str) -> tuple[int, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("GAOXIN_")}
        settings = {
            "GAOXIN_DATA": str(self.folder),
            "GAOXIN_REGISTRY": str(self.folder / "devices.json"),
            "GAOXIN_BROKER__PORT": str(self.port),
        }
        run = subprocess.run(
            [sys.executable, "-m", "dashboards", "quarantine", *arguments],
            env=clean | settings,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return run.returncode, run.stdout + run.stderr


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A worker that knows only the small zone, and got: a reading out of range, one of a device yet unknown."""
    registries.write(tmp_path / "devices.json", SMALL)
    with mosquitto(tmp_path / "broker") as port:
        store = MemoryStore(Registry([*SMALL, link("td-new")]))
        place = Place(tmp_path, port, store, [])
        place.start(SMALL)
        sensor = paho.Client(CallbackAPIVersion.VERSION2)
        sensor.connect("127.0.0.1", port)
        sensor.loop_start()
        now = SystemClock().now()
        body = {"at": now, "values": {"intensity": 1, "occupancy": 9}}
        sensor.publish(topic("td-1"), json.dumps(body), qos=1)
        body = {"at": now, "values": {"intensity": 2}}
        sensor.publish(f"{PREFIX}/traffic/td-new/obs", json.dumps(body), qos=1).wait_for_publish(10)
        wait_until(lambda: len(list(quarantine.read(tmp_path / "quarantine"))) == 2, "both are in quarantine")
        wait_until(lambda: "td-1" in store.latest(), "the good value beside the bad one is stored")
        yield place
        sensor.disconnect()
        sensor.loop_stop()
        place.workers[-1].stop()


@pytest.mark.server
def test_from_refusal_to_the_store(place: Place) -> None:
    code, said = place.gaoxin("list")
    assert code == 0
    assert "1  range     value is outside its valid range" in said
    assert "1  device    device is not in the registry" in said
    assert "td-1: occupancy = 9, not in 0…1.5 1" in said
    [named] = [line.split()[0] for line in said.splitlines() if line.endswith("td-new/obs")]

    code, said = place.gaoxin("show", named)
    assert code == 0
    assert "refused   device, device is not in the registry: td-new" in said
    assert '"values": {"intensity": 2}' in said

    assert place.gaoxin("retry", "--dry-run")[1].splitlines()[:2] == [
        "readings that can be sent: 1",
        "messages that would be settled: 0 of 2",
    ]
    # The cause is mended: the device is registered
    registries.write(place.folder / "devices.json", Registry([*SMALL, link("td-new")]))
    code, said = place.gaoxin("retry", "--device", "td-new")
    assert code == 1
    assert "the ingest worker ingest still reads by another registry" in said
    place.restart()
    code, said = place.gaoxin("retry", "--device", "td-new")
    assert (code, said.splitlines()) == (0, ["readings sent: 1", "messages settled: 1 of 1"])
    wait_until(lambda: "td-new" in place.store.latest(), "it is in the store")
    code, said = place.gaoxin("list")
    assert "td-new" not in said
    assert "1  range" in said


@pytest.mark.server
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("show", "w9-0"), 1, "no such message waits in quarantine"),
        (("retry", "w9-0"), 1, "Nothing was done"),
        (("list", "--reason", "rage"), 2, "Known: topic, size, json"),
        (("list", "--device", "td-9"), 0, "nothing like this waits in quarantine; 2 others do"),
    ],
)
def test_wrong_requests_say_what_is_wrong(place: Place, arguments: tuple[str, ...], code: int, words: str) -> None:
    found, said = place.gaoxin(*arguments)
    assert found == code
    assert words in said


@pytest.mark.server
def test_without_a_broker_nothing_is_settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "PATIENCE_S", 1)
    Quarantine(tmp_path / "quarantine", "w1").keep([Refused(topic("td-1"), payload(intensity=1), T0, [BAD])])
    decoder = Decoder(SMALL, prefix=PREFIX)
    [tried] = retry.decode(quarantine.read(tmp_path / "quarantine"), decoder, T0)
    with pytest.raises(BrokerError, match="cannot be reached"):
        retry.publish(tried.observations, decoder, Broker(port=1))
    assert len(list(quarantine.read(tmp_path / "quarantine"))) == 1
