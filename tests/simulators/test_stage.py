"""The stage: scenarios begun, rehearsed, stopped and over, on a manual clock and without a network."""

from copy import deepcopy
from pathlib import Path

import msgspec
import pytest

from simulators.scenarios import ScenarioError, stories
from simulators.stage import LEAD, Stage, command
from twin import truth
from twin.clock import MINUTE, SECOND, local, parse
from twin.errors import RegistryError
from twin.registry import Registry, read

REGISTRY = read(Path(__file__).parents[2] / "layers" / "data" / "devices.json")
# A part of the true zone in which every scenario finds what it needs, and which is quick to simulate
FEW = Registry([d for d in REGISTRY if d.kind not in ("manhole", "street-light", "soil-station")])
NOW = parse("2026-11-20T09:00:20")


@pytest.fixture(scope="module")
def fresh() -> Stage:
    return Stage(FEW, seed=3, speed=1, now=NOW, prefix="gaoxin/v1")


@pytest.fixture
def stage(fresh: Stage) -> Stage:
    return deepcopy(fresh)


def said(stage: Stage, now: int) -> truth.Stage | None:
    """The state that is due at `now`, if one is."""
    for message in stage.due(now):
        if message.topic == "gaoxin/v1/simulator/state":
            assert message.retain
            return msgspec.json.decode(message.payload, type=truth.Stage)
    return None


def asked(stage: Stage, now: int, *words: object) -> truth.Answer:
    one = command(*words)  # type: ignore[arg-type]
    stage.obey(msgspec.json.encode(one), now)
    if words[0] == "play":
        stage.due(now)
    answer = stage.state(now).answer
    assert answer is not None
    assert answer.id == one.id
    return answer


def test_the_state_is_said_once_and_again_when_asked(stage: Stage) -> None:
    first = said(stage, NOW)
    assert first == truth.Stage(NOW, NOW, 1.0)
    assert said(stage, NOW + SECOND) is None
    stage.repeat()
    assert said(stage, NOW + 2 * SECOND) is not None


def test_a_scenario_begins_at_the_next_minute_and_ends(stage: Stage) -> None:
    assert not asked(stage, NOW, "play", "S12").wrong
    [run] = stage.state(NOW).runs
    assert (run.scenario, run.began) == ("S12", parse("2026-11-20T09:01:00"))
    assert run.ends - run.began == stories()["S12"].minutes * MINUTE
    assert all(run.began <= fact.began < fact.ended <= run.ends for fact in run.facts)
    assert said(stage, run.ends) is None  # it is told as before, and that its time is over says all


def test_a_scenario_changes_what_is_sent(stage: Stage, fresh: Stage) -> None:
    other = deepcopy(fresh)
    asked(stage, NOW, "play", "S03")

    def hottest(one: Stage) -> float:
        found = [0.0]
        for second in range(60, 8 * 60, 5):
            for message in one.due(NOW + second * SECOND):
                if "/sv-" in message.topic:
                    found.append(msgspec.json.decode(message.payload)["values"]["inletTemperature"])
        return max(found)

    assert hottest(stage) > 30 > 28 > hottest(other)


def test_a_rehearsal_sets_the_clock_and_gives_the_day_back(stage: Stage) -> None:
    assert not asked(stage, NOW, "play", "S08", "16:42", 60.0).wrong
    [run] = stage.state(NOW).runs
    assert local(stage.state(NOW).clock).strftime("%H:%M") == "16:37"
    assert run.began == NOW + LEAD // 60
    assert run.ends - run.began == stories()["S08"].minutes * SECOND
    half = stage.state(NOW + 30 * SECOND)
    assert (local(half.clock).strftime("%H:%M"), half.speed) == ("17:07", 60.0)
    over = run.began + round((stories()["S08"].minutes + stories()["S08"].after) * SECOND) + SECOND
    state = said(stage, over)
    assert state is None or state.speed == 1
    assert (stage.state(over).clock, stage.state(over).speed) == (over, 1)


def test_stopping_cuts_the_facts_off_and_brings_gateways_back(stage: Stage) -> None:
    asked(stage, NOW, "play", "S07")
    later = NOW + 5 * MINUTE
    gone = {m.topic for m in stage.due(later) if m.payload == b"offline"}
    assert gone
    assert not asked(stage, later, "stop", "S07").wrong
    [run] = stage.state(later).runs
    assert run.ends == later
    assert all(fact.ended == later for fact in run.facts)
    assert {m.topic for m in stage.due(later + MINUTE) if m.payload == b"online"} == gone


def test_stopping_a_rehearsal_brings_gateways_back(stage: Stage) -> None:
    asked(stage, NOW, "play", "S07", "11:05", 60.0)
    later = NOW + 20 * SECOND
    gone = {m.topic for m in stage.due(later) if m.payload == b"offline"}
    assert gone
    asked(stage, later, "stop")
    assert {m.topic for m in stage.due(later + MINUTE) if m.payload == b"online"} == gone


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("play", "S99"), "S01, S02"),
        (("play", "S03", "25:00"), "15:20"),
        (("play", "S03", "", 60.0), "time of day"),
        (("stop", "S03"), "not played"),
    ],
)
def test_what_cannot_be_is_answered(stage: Stage, words: tuple[object, ...], reason: str) -> None:
    assert reason in asked(stage, NOW, *words).wrong
    assert stage.state(NOW).runs == ()


def test_one_scenario_is_not_played_twice(stage: Stage) -> None:
    asked(stage, NOW, "play", "S03")
    assert "already" in asked(stage, NOW, "play", "S03").wrong


def test_a_refused_rehearsal_leaves_what_is_played(stage: Stage) -> None:
    asked(stage, NOW, "play", "S03")
    assert asked(stage, NOW, "play", "S05", "nonsense", 60.0).wrong
    assert [run.scenario for run in stage.state(NOW).runs] == ["S03"]


def test_rubbish_is_no_command(stage: Stage) -> None:
    for rubbish in (b"", b"{}", b"[1]", b'{"id": "x", "do": "explode"}', b"\xff"):
        stage.obey(rubbish, NOW)
    assert stage.state(NOW).answer is None
    with pytest.raises(ScenarioError, match="speed"):
        command("play", "S03", "15:20", 0)


def test_a_zone_without_what_a_scenario_needs_says_so() -> None:
    poor = Registry([d for d in REGISTRY if d.kind == "air-station"][:3])
    stage = Stage(poor, seed=3, speed=1, now=NOW, prefix="gaoxin/v1")
    with pytest.raises(RegistryError, match="chiller"):
        stage.play("S03", NOW)
