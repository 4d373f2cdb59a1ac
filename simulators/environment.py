"""The environment of the zone: weather, air, noise, water and soil, read by the stations that stand in it.

Each part has a module of its own; here they are stepped in turn, and what their stations read is put into one table.
The haze and dust of the air are what the weather stations' visibility comes from.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from simulators.air import Air
from simulators.conditions import Array, Conditions, plane
from simulators.noise import Noise
from simulators.water import Water, river
from simulators.weather import WeatherStations, weather
from twin.registry import Device, Registry

__all__ = ["Environment", "river", "weather"]

_KINDS = ("air-station", "noise-monitor", "weather-station", "water-station", "soil-station")


class Environment:
    def __init__(self, registry: Registry, devices: Sequence[Device], seed: int) -> None:
        self._size = len(devices)
        self._rows = {kind: np.array([i for i, d in enumerate(devices) if d.kind == kind], np.int64) for kind in _KINDS}
        air, noise, sky, water, soil = ([devices[i] for i in self._rows[kind]] for kind in _KINDS)
        links = [d for d in registry if d.kind == "link-detector"]
        self.air = Air(air, links, seed)
        self.noise = Noise(noise, links, seed)
        self.weather = WeatherStations(sky, seed)
        self.water = Water(water, soil, seed)
        self._sky_places = plane(sky)

    def step(self, now: Conditions, rng: np.random.Generator) -> None:
        self.air.step(now, rng)
        self.noise.step(rng)
        self.water.step(now)

    def read(self, now: Conditions, rng: np.random.Generator) -> dict[str, Array]:
        around = self.air.around(now, self._sky_places)
        found: Mapping[str, Mapping[str, Array]] = {
            "air-station": self.air.read(now),
            "noise-monitor": self.noise.read(now, rng),
            "weather-station": self.weather.read(now, rng, *around),
            "water-station": self.water.read(now, rng),
            "soil-station": self.water.read_soil(now, rng),
        }
        values: dict[str, Array] = {}
        for kind, metrics in found.items():
            for metric, readings in metrics.items():
                values.setdefault(metric, np.full(self._size, np.nan))[self._rows[kind]] = readings
        return values
