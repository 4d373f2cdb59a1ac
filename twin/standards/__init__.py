"""What a value means by the standard that governs it: an index, a state, a class or a warning level.

Tables are data (`twin/data/*.csv`, each row with its source and how sure we are of it); the code only reads them. A
*band* is the ordinal class a device shows on the map: 0 is the best. A *level* is that of a warning: blue to red.

- `air`: HJ 633-2026 (2012 selectable), the means it is made from by GB 3095
- `traffic`: GB/T 33171-2016, by share of the free speed, by absolute speed, and the performance index (TPI)
- `noise`: GB 3096-2008
- `water`: GB 3838-2002
- `facilities`: GB 50174-2017 and GB 40879-2021 for the compute centre; parking and city bands by convention
- `warning`: weather signals, heavy-pollution warnings, flood response
"""

from twin.standards.air import (
    AIR,
    POLLUTANTS,
    Aqi,
    Edition,
    Form,
    aqi,
    aqi_level,
    daily,
    day_mean,
    eight_hour_means,
    highest_eight_hours,
    hour_mean,
    iaqi,
    reported,
)
from twin.standards.facilities import (
    COLD_AISLE,
    COVER,
    LAMPS,
    LOAD,
    PARKING,
    PUE,
    REPORTS,
    UNDERPASS,
    data_centre_excess,
    pue_grade,
)
from twin.standards.noise import NOISE, NOISE_LIMITS, equivalent_level, night_peak_excess, noise_excess
from twin.standards.scale import Band, Level, Scale, rounded
from twin.standards.traffic import TRAFFIC, delay_share, state_by_speed, tpi, tpis, traffic_state
from twin.standards.warning import (
    EMERGENCY,
    HAZARDS,
    Emergency,
    PollutionEdition,
    Window,
    flood_level,
    heavy_pollution,
    weather_signal,
)
from twin.standards.water import WATER, WaterQuality, water_class, water_quality

__all__ = [
    "AIR",
    "COLD_AISLE",
    "COVER",
    "EMERGENCY",
    "HAZARDS",
    "LAMPS",
    "LOAD",
    "NOISE",
    "NOISE_LIMITS",
    "PARKING",
    "POLLUTANTS",
    "PUE",
    "REPORTS",
    "TRAFFIC",
    "UNDERPASS",
    "WATER",
    "Aqi",
    "Band",
    "Edition",
    "Emergency",
    "Form",
    "Level",
    "PollutionEdition",
    "Scale",
    "WaterQuality",
    "Window",
    "aqi",
    "aqi_level",
    "daily",
    "data_centre_excess",
    "day_mean",
    "delay_share",
    "eight_hour_means",
    "equivalent_level",
    "flood_level",
    "heavy_pollution",
    "highest_eight_hours",
    "hour_mean",
    "iaqi",
    "night_peak_excess",
    "noise_excess",
    "pue_grade",
    "reported",
    "rounded",
    "state_by_speed",
    "tpi",
    "tpis",
    "traffic_state",
    "water_class",
    "water_quality",
    "weather_signal",
]
