"""What the simulator plays: the ordinary zone, scenarios laid over it, or a rehearsal at another time of day and speed.

A command is JSON on `{prefix}/simulator/command`:
    {"id": "…", "do": "play", "scenario": "S03"}                                begin it now, in the day as it is
    {"id": "…", "do": "play", "scenario": "S03", "at": "15:20", "speed": 60}    a rehearsal: the zone's clock is set
    {"id": "…", "do": "stop", "scenario": "S03"}                                end it; without a scenario: end all
What is played is retained on `{prefix}/simulator/state`, with the ground truth of the runs: who keeps the ledger writes
it there. Its `answer` repeats the id of the last command, with what was wrong with it.

A rehearsal replaces the zone by one whose clock stands a little before the scenario; when scenario and recovery are
over, or it is stopped, the ordinary day comes back.
"""

import logging
import re
from typing import Annotated, Literal
from uuid import uuid4

import msgspec

from simulators.conditions import STEP
from simulators.scenarios import Places, Scenario, ScenarioError
from simulators.timetable import Message, Publisher
from simulators.world import World
from twin import truth
from twin.clock import MINUTE, local
from twin.errors import GaoxinError
from twin.registry import Registry
from twin.truth import Answer, Run

log = logging.getLogger("gaoxin.simulate")

LEAD = 5 * MINUTE  # of the zone's time, before a rehearsed scenario begins
REMEMBERED = 12  # runs that are over and still told
FASTEST = 600

_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the simulator is asked. `at` is a local time of day, hh:mm; `speed` without it is not allowed."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    do: Literal["play", "stop"]
    scenario: str = ""
    at: str = ""
    speed: Annotated[float, msgspec.Meta(gt=0, le=FASTEST)] | None = None


def command(do: str, scenario: str = "", at: str = "", speed: float | None = None) -> Command:
    """A command with an id of its own. Raises ScenarioError when it cannot be one."""
    asked = {"id": uuid4().hex, "do": do, "scenario": scenario, "at": at, "speed": speed}
    try:
        return msgspec.convert(asked, Command)
    except msgspec.ValidationError as error:
        raise ScenarioError(f"{scenario}: {error}") from None


class Stage:
    """Pure: it knows no network, and no time but what it is told."""

    def __init__(self, registry: Registry, *, seed: int, speed: float, now: int, prefix: str) -> None:
        self.registry, self.seed, self.speed, self.prefix = registry, seed, speed, prefix
        self._places = Places(registry)
        self._playing: list[tuple[Scenario, Run]] = []
        self._over: list[Run] = []
        self._answer: Answer | None = None
        self._said: truth.Stage | None = None
        self._publisher = Publisher(self._ordinary(now), origin=now, speed=speed, prefix=prefix)
        self._next: tuple[World, Scenario, float] | None = None  # a rehearsal that begins with the next message
        self._rehearsing = False

    def due(self, now: int) -> list[Message]:
        """What is to be sent now: readings, gateways, and the state where it changed."""
        if self._next is not None:
            self._begin_rehearsal(now, *self._next)
        self._end_what_is_over(now)
        found = self._publisher.due(now)
        state = self.state(now)
        if self._said is None or state.runs != self._said.runs or state.answer != self._said.answer:
            self._said = state
            found.append(Message(f"{self.prefix}/simulator/state", msgspec.json.encode(state), retain=True))
        return found

    def next(self) -> int:
        """UTC ms: `due` has nothing to say before it, unless a command comes."""
        return self._publisher.next()

    def state(self, now: int) -> truth.Stage:
        p = self._publisher
        runs = (*(run for _, run in self._playing), *reversed(self._over))
        return truth.Stage(now, p.clock(now), p.speed, runs, self._answer)

    def repeat(self) -> None:
        """Say the state again at the next `due`: the broker may have forgotten it."""
        self._said = None

    def obey(self, payload: bytes, now: int) -> None:
        """Do what a command says, or answer what is wrong with it."""
        try:
            command = msgspec.json.decode(payload, type=Command)
        except msgspec.DecodeError as error:
            log.warning("a command that cannot be read: %s", error)
            return
        try:
            if command.do == "play":
                self.play(command.scenario, now, at=command.at, speed=command.speed)
            else:
                self.stop(command.scenario, now)
        except GaoxinError as error:
            log.warning("command %s refused: %s", command.id, error)
            self._answer = Answer(command.id, str(error))
        else:
            self._answer = Answer(command.id)

    def play(self, id: str, now: int, *, at: str = "", speed: float | None = None) -> None:
        """Begin a scenario: at the next whole minute of the zone, or as a rehearsal whose clock is set to `at`, local
        hh:mm of today. Raises ScenarioError or RegistryError when that cannot be."""
        if at:
            self._rehearse(id, now, at, speed or self.speed)
        elif speed is not None:
            raise ScenarioError("a speed of its own needs a time of day: name one, as in at 15:20")
        else:
            self._lay(id, now)

    def _lay(self, id: str, now: int) -> None:
        for scenario, run in list(self._playing):
            if scenario.id == id and run.ends > now:
                raise ScenarioError(f"{id} is played already; stop it first")
            if scenario.id == id:
                self._forget(scenario, run)
        p = self._publisher
        begin = (p.clock(now) // STEP + 1) * STEP
        scenario = Scenario(id, self._places, begin)
        p.world.add(scenario)
        began = now + round((begin - p.clock(now)) / p.speed)
        self._playing.append((scenario, scenario.run(asked=now, began=began, speed=p.speed)))
        log.info("playing %s", id)

    def stop(self, id: str, now: int) -> None:
        """End a scenario, or all (""). Raises ScenarioError when it is not played."""
        wanted = [(s, run) for s, run in self._playing if id in ("", s.id)]
        if self._next is not None and id in ("", self._next[1].id):
            self._next = None
        elif id and not wanted:
            raise ScenarioError(f"{id} is not played")
        for scenario, run in wanted:
            self._forget(scenario, run.stopped(now))
        if self._rehearsing and not self._playing:
            self._resume(now)

    def _rehearse(self, id: str, now: int, at: str, speed: float) -> None:
        clock = _CLOCK.fullmatch(at)
        if clock is None:
            raise ScenarioError(f"{at!r} is not a time of day; it is like 15:20")
        moment = local(now).replace(hour=int(clock[1]), minute=int(clock[2]), second=0, microsecond=0)
        begin = round(moment.timestamp() * 1000)
        scenario = Scenario(id, self._places, begin)  # a wrong one is said before anything is changed
        for playing, run in list(self._playing):
            self._forget(playing, run.stopped(now))
        # That takes some seconds, which at speed 60 are minutes of the zone: it begins when it is there
        self._next = World(self.registry, seed=self.seed, start=begin - LEAD, scenarios=[scenario]), scenario, speed

    def _begin_rehearsal(self, now: int, world: World, scenario: Scenario, speed: float) -> None:
        self._next = None
        self._publisher = self._published(world, now, world_at=scenario.start - LEAD, speed=speed)
        self._rehearsing = True
        self._playing.append((scenario, scenario.run(asked=now, began=now + round(LEAD / speed), speed=speed)))
        log.info("rehearsing %s at %s, %g times as fast", scenario.id, local(scenario.start).strftime("%H:%M"), speed)

    def _end_what_is_over(self, now: int) -> None:
        clock = self._publisher.clock(now)
        for scenario, run in list(self._playing):
            if clock >= scenario.over:
                self._forget(scenario, run)
        if self._rehearsing and not self._playing:
            self._resume(now)

    def _forget(self, scenario: Scenario, run: Run) -> None:
        self._playing = [pair for pair in self._playing if pair[0] is not scenario]
        self._publisher.world.remove(scenario)
        self._over = [*self._over, run][-REMEMBERED:]
        log.info("%s is over", scenario.id)

    def _resume(self, now: int) -> None:
        self._publisher = self._published(self._ordinary(now), now, world_at=now, speed=self.speed)
        self._rehearsing = False

    def _ordinary(self, now: int) -> World:
        return World(self.registry, seed=self.seed, start=now)

    def _published(self, world: World, now: int, *, world_at: int, speed: float) -> Publisher:
        """A publisher that takes over from the present one, which knows what gateways were last said to be."""
        gone = self._publisher.gone
        return Publisher(world, origin=now, begin=world_at, speed=speed, prefix=self.prefix, gone=gone)
