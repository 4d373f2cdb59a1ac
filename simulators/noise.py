"""Noise: CRTN from the links near a monitor, point sources, and a background by day and night; energies add.

CRTN's L10 stands 10 m from the kerb; Leq is taken 3 dB under it. It falls with the distance from the source line as
10 log10(d/13.5), with buildings in between beyond 30 m. A point source (a stage) falls by 20 log10(r/10) and what the
air takes, or it would be heard in every district.

Sources: CRTN 1988 (UK Department of Transport); 5 dB/km is ISO 9613-1 at 1 kHz and 15 °C, rounded. Backgrounds are
assumptions a class of GB 3096.
"""

import math
from collections.abc import Sequence

import numpy as np

from simulators.conditions import Array, Conditions, Sound, Wander, ids, plane, spread, traits
from simulators.roadside import nearest
from simulators.traffic import CLASSES
from twin.registry import Device

L10_TO_LEQ = -3.0  # dB, for free-flowing traffic
_SLOWEST = 20.0  # km/h, the end of CRTN's charts; its speed term would make a standing queue the loudest of all
_SURFACE = -1.0  # dB, CRTN's correction for impervious bituminous roads in towns
_HEARD = 5  # links a monitor hears
_AIR = 0.005  # dB/m
_BACKGROUND = {"0": (44.0, 36.0), "1": (46.0, 38.0), "2": (49.0, 41.0), "3": (51.0, 43.0), "4a": (50.0, 42.0)}


def crtn(flow: Array | float, speed: Array | float, heavy: Array | float) -> Array:
    """L10 over an hour, dB(A), 10 m from the kerb: `flow` veh/h (valid from 50), `speed` km/h, `heavy` percent.

    CRTN 1988: basic level, and the correction for mean speed and heavy vehicles.
    """
    v = np.maximum(speed, _SLOWEST)
    return np.asarray(
        42.2
        + 10 * np.log10(np.maximum(flow, 1.0))
        + 33 * np.log10(v + 40 + 500 / v)
        + 10 * np.log10(1 + 5 * np.asarray(heavy) / v)
        - 68.8,
        np.float64,
    )


def heard(sounds: Sequence[Sound], places: Array) -> Array:
    """Energy (10^(L/10)) of the sources at each place; `places` (n, 2) m east and north."""
    energy = np.zeros(len(places))
    for sound in sounds:
        away = np.maximum(np.hypot(places[:, 0] - sound.east, places[:, 1] - sound.north), 1.0)
        energy += 10 ** ((sound.level - 20 * np.log10(away / 10) - _AIR * away) / 10)
    return energy


class Noise:
    def __init__(self, devices: Sequence[Device], links: Sequence[Device], seed: int) -> None:
        self._places = plane(devices)
        self._near, away = nearest(devices, links, _HEARD)
        # CRTN's distance to the source line, 3.5 m inside the kerb; what stands between takes 6 dB in 100 m
        self._loss = -10 * np.log10((np.maximum(away, 10.0) + 3.5) / 13.5) - np.clip(0.06 * (away - 30), 0, 15)
        classes = [CLASSES.get(str(d.attributes.get("roadClass")), CLASSES["collector"]) for d in links]
        self._heavy = np.array([c.heavy for c in classes], np.float64)
        quiet = [_BACKGROUND.get(str(d.attributes.get("noiseClass")), _BACKGROUND["2"]) for d in devices]
        self._background = np.array(quiet, np.float64).reshape(-1, 2)
        self._background += 1.2 * spread(seed, "background", ids(devices))[:, None]
        self._peaky = 9 + 5 * traits(seed, "peaks", ids(devices))
        self._wander = Wander(len(devices), 6)

    def step(self, rng: np.random.Generator) -> None:
        self._wander.step(rng)

    def read(self, now: Conditions, rng: np.random.Generator) -> dict[str, Array]:
        """dB(A): the minute's Leq, and the loudest moment in it."""
        day = 1 / (1 + math.exp(-2.2 * min(now.hour - 6.2, 22.3 - now.hour)))
        background = self._background[:, 1] + day * (self._background[:, 0] - self._background[:, 1])
        energy = 10 ** ((background + 1.1 * self._wander.now) / 10)
        energy += self._roads(now, day) + heard(now.sounds, self._places)
        if now.weather.rain > 0:
            energy += 10 ** ((42 + 9 * math.log10(1 + now.weather.rain)) / 10)
        level = 10 * np.log10(energy)
        return {"LAeq": level, "LAmax": level + self._peaky + rng.gumbel(0, 1.3, len(level)).clip(-2, 9)}

    def _roads(self, now: Conditions, day: float) -> Array:
        """Energy of the links heard; at night more of the vehicles are heavy."""
        if not self._near.size:
            return np.zeros(len(self._near))
        source = crtn(now.flow, now.speed, self._heavy * (1 + 0.8 * (1 - day))) + L10_TO_LEQ + _SURFACE
        level = source[self._near] + self._loss + 0.5 * self._wander.now[:, None]
        # Below 1 vehicle an hour there is no source
        return np.asarray(((now.flow[self._near] >= 1) * 10 ** (level / 10)).sum(axis=1), np.float64)
