"""Conditions of a single step, made by hand: a still, dry November night unless told otherwise."""

from collections.abc import Sequence

import numpy as np

from simulators.conditions import Conditions, Weather, calendar
from twin.clock import parse

NIGHT = parse("2026-11-20T02:00:00")


def moment(
    at: int = NIGHT,
    *,
    temperature: float = 5.0,
    humidity: float = 0.5,
    wind: float = 1.2,
    wind_from: float = 315.0,
    rain: float = 0.0,
    cloud: float = 0.3,
    mixing_height: float = 300.0,
    solar: float = 0.0,
    flow: Sequence[float] = (),
    speed: Sequence[float] = (),
) -> Conditions:
    """`flow` veh/h and `speed` km/h of each link; there are no car parks and no chillers."""
    hour, weekday, day = calendar(at)
    links = len(flow)
    return Conditions(
        at=at,
        hour=hour,
        weekday=weekday,
        day_of_year=day,
        sun=-10.0,
        weather=Weather(temperature, humidity, wind, wind_from, rain, cloud, 970.0, mixing_height, solar),
        capacity=np.ones(links),
        entering=np.zeros(links),
        visitors=np.zeros(0),
        leaving=np.zeros(0),
        shut=np.zeros(0),
        chillers=np.zeros(0),
        flow=np.array(flow, np.float64),
        speed=np.array(speed, np.float64),
        searching=np.zeros(links),
    )
