"""A zone that lives through a given history: engine, alarms, store and ledger as in the product, on a manual clock."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ingest.decode import Decoder
from ingest.engine import Engine
from ingest.watch import Watch
from tests.zone import PREFIX, T0, device, link, payload, topic
from twin import snapshot
from twin.clock import DAY, MINUTE, SECOND
from twin.episodes import OPEN
from twin.errors import RefusedError
from twin.ledger import Ledger, alarms, rules
from twin.observation import Observation
from twin.past import Past
from twin.registry import Registry
from twin.rules import Condition, Over, Rule, Scope, Term
from twin.settings import Engine as EngineSettings
from twin.snapshot import NEVER_HEARD, NO_BAND, U8
from twin.store import Store

AHEAD = 300 * SECOND
ZONE = Registry(
    [
        link("td-1"),
        link("td-2"),
        device("aq-1", "air-station", gateway="gw-b"),
        device("ns-1", "noise-monitor", noiseClass="4a"),
        device("wt-1", "water-station"),
        device("pk-1", "car-park", gateway="gw-b", capacity=100.0),
        device("mh-1", "manhole", gateway="gw-a", period_s=10),
        device("up-1", "underpass", period_s=20),
        device("sl-1", "street-light"),
    ]
)


def _rule(id: str, metric: str, condition: Condition, **more: Any) -> Rule:
    levels = {name: more.pop(name) for name in ("blue", "yellow", "orange", "red") if name in more}
    return Rule(id=id, name=f"Rule {id}", when=(Term(metric=metric, condition=condition, **levels),), **more)


BOOKS: Sequence[tuple[Rule, ...]] = (
    (
        _rule("full", "occupancy", Condition.ABOVE, blue=0.5, red=0.9, scope=Scope(kinds=("car-park",))),
        _rule("slow", "averageVehicleSpeed", Condition.BELOW, yellow=30.0, raise_after_s=90, clear_after_s=30),
        _rule("open", "coverOpen", Condition.ABOVE, orange=0.5, group="covers"),
        _rule("deep", "waterDepth", Condition.ABOVE, blue=0.1, yellow=0.3, orange=0.5),
        _rule("silent", "", Condition.ABSENT, blue=60.0, over=Over.GATEWAY, need=1),
    ),
    (
        _rule("full", "occupancy", Condition.ABOVE, blue=0.8, red=0.9, scope=Scope(kinds=("car-park",))),
        _rule("slow", "averageVehicleSpeed", Condition.BELOW, red=30.0),
        _rule("deep", "waterDepth", Condition.ABOVE, blue=0.1, yellow=0.3, orange=0.5),
    ),
)
# What each device may say
WORDS: dict[str, Sequence[dict[str, float]]] = {
    "td-1": [{"averageVehicleSpeed": v} for v in (8.0, 20.0, 55.0)],
    "td-2": [{"averageVehicleSpeed": 20.0}, {"intensity": 3.0}, {"averageVehicleSpeed": 60.0, "intensity": 9.0}],
    "aq-1": [{"pm25": 10.5, "pm10": 30.0, "so2": 5.0, "no2": 8.0, "co": 0.4, "o3": 60.0}, {"pm25": 180.0}],
    "ns-1": [{"LAeq": 54.0}, {"LAeq": 71.5}],
    "wt-1": [{"pH": 7.0, "O2": 8.0, "NH4": 0.1, "P-TOT": 0.01, "cod": 3.0}, {"O2": 2.1, "waterLevel": 3.0}],
    "pk-1": [
        {"occupancy": o, "availableSpotNumber": 100 * (1 - o), "occupiedSpotNumber": 100 * o} for o in (0.2, 0.95)
    ],
    "mh-1": [{"coverOpen": 0.0}, {"coverOpen": 1.0}],
    "up-1": [{"waterDepth": d} for d in (0.0, 0.2, 0.6)],
    "sl-1": [{"illuminanceOn": 1.0}, {"voltage": 220.0}],
}


class Say(NamedTuple):
    """A reading, `late` ms old when it comes (ahead of time if negative)."""

    device: str
    word: int
    late: int


class Again(NamedTuple):
    """One of the latest readings comes once more; with another `word`, as a correction."""

    back: int
    word: int | None


class Gateway(NamedTuple):
    gateway: str
    online: bool


class Person(NamedTuple):
    """Somebody does something about the most urgent alarm, or takes a device out of service or back."""

    what: str


class Commit(NamedTuple):
    book: int


Event = Say | Again | Gateway | Person | Commit


@dataclass
class Shown:
    """What the screens had at an instant."""

    value: U8
    status: U8
    indicators: bytes
    ringing: bytes


@dataclass
class Life:
    """`shown`: by instant, at each `look`."""

    store: Store
    ledger: Ledger
    now: int = T0
    shown: dict[int, Shown] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with self.ledger.transaction() as connection:
            rules.commit(connection, BOOKS[0], author="me", reason="a test", base=0, at=T0)
        self.said: list[Observation] = []
        self._unwritten: list[Observation] = []
        self.decoder = Decoder(ZONE, prefix=PREFIX, future=AHEAD, past=DAY)
        n = len(ZONE)
        self._screen = np.full(n, NEVER_HEARD, np.uint8), np.full(n, NO_BAND << 4, np.uint8)
        self._begin()

    def _begin(self) -> None:
        watch = Watch(ZONE, self.ledger, self.now)
        self.engine = Engine(ZONE, self.decoder, EngineSettings(), prefix=PREFIX, now=self.now, watch=watch)

    @property
    def past(self) -> Past:
        return Past(ZONE, self.store, self.ledger, grace=EngineSettings().grace_periods, ahead=AHEAD)

    def until(self, moment: int) -> None:
        """Time passes, with a look at every full minute."""
        for minute in range(self.now // MINUTE * MINUTE + MINUTE, moment + 1, MINUTE):
            self.now = minute
            self.look()
        self.now = max(self.now, moment)

    def happen(self, event: Event) -> None:
        if self.now in self.shown:
            self.now += 1  # a frame has all that was received by its time
        match event:
            case Say(name, word, late):
                words = WORDS[name]
                self._hear(name, self.now - late, words[word % len(words)])
            case Again(back, word) if self.said:
                one = self.said[-1 - back % len(self.said)]
                words = WORDS[one.device]
                self._hear(one.device, one.at, one.values if word is None else words[word % len(words)])
            case Gateway(name, online):
                self.engine.feed(f"{PREFIX}/gateway/{name}/status", b"online" if online else b"offline", self.now)
            case Person(what):
                self._act(what)
            case Commit(book):
                with self.ledger.transaction() as connection:
                    base = rules.latest(connection)
                    rules.commit(connection, BOOKS[book], author="me", reason="a test", base=base, at=self.now)

    def look(self) -> None:
        """The engine's turn, and what a screen that follows it has then; what was heard is stored as well."""
        if self.now <= max(self.shown, default=T0):
            self.now += SECOND
        self.store.write(self._unwritten)
        self._unwritten = []
        told = {p.topic.rsplit("/", 1)[1]: p.payload for p in self.engine.tick(self.now)}
        frame = snapshot.decode(told["key"] if "key" in told else told["delta"])
        value, status = (part.copy() for part in self._screen)
        index = slice(None) if frame.index is None else frame.index
        value[index], status[index] = frame.value, frame.status
        self._screen = value, status
        self.shown[self.now] = Shown(value, status, told["indicators"], told["alarms"])

    def _hear(self, name: str, at: int, values: dict[str, float]) -> None:
        sent = topic(name, ZONE), payload(at, **values), self.now
        self.engine.feed(*sent)
        heard = self.decoder.decode(*sent).observations
        self.said += heard
        self._unwritten += heard

    def _act(self, what: str) -> None:
        with self.ledger.transaction() as connection:
            found = alarms.find(connection, alarms.Filter(states=OPEN), now=self.now, limit=1)
            try:
                if what in ("out", "in"):
                    do = alarms.out_of_service if what == "out" else alarms.in_service
                    more = {"reason": "works"} if what == "out" else {}
                    do(connection, "mh-1", by="li", at=self.now, **more)
                elif found and what == "acknowledge":
                    alarms.acknowledge(connection, found[0].id, by="li", at=self.now)
                elif found and what == "shelve":
                    alarms.shelve(connection, found[0].id, self.now + 2 * MINUTE, by="li", at=self.now, reason="works")
                elif found and what == "unshelve":
                    alarms.unshelve(connection, found[0].id, by="li", at=self.now)
            except RefusedError:
                pass  # what somebody tried and may not changes nothing
