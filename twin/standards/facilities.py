"""The compute centre by GB 50174-2017 and GB 40879-2021; parking and city facilities by this project's convention.

The bands of PUE follow the national targets (1.25 at hubs and for what is new, 1.30 for large centres, 1.50 on
average); the grades of GB 40879 are for a year's energy. 18 to 27 °C in the cold aisle is the standard's, the steps
above it are ours. No national grading of parking occupancy was found.
"""

from twin.standards.scale import Band, Scale, table

PARKING = Scale(
    (0.60, 0.80, 0.90, 1.0),
    (
        Band("Plenty", "#16c784"),
        Band("Moderate", "#9bd84b"),
        Band("Tight", "#f5c542"),
        Band("Full soon", "#f2762e"),
        Band("Overflowing", "#d93a4e"),
    ),
)
COLD_AISLE = Scale(
    (27, 30, 32, 35),
    (
        Band("Normal", "#16c784"),
        Band("Warm", "#9bd84b"),
        Band("High", "#f5c542"),
        Band("Very high", "#f2762e"),
        Band("Throttling", "#d93a4e"),
    ),
    inclusive=True,
)
PUE = Scale(
    (1.25, 1.30, 1.50),
    (
        Band("Leading", "#16c784"),
        Band("On target", "#9bd84b"),
        Band("Over target", "#f5c542"),
        Band("Poor", "#f2762e"),
    ),
    inclusive=True,
)
LOAD = Scale((0.8, 1.0), (Band("Normal", "#16c784"), Band("High", "#f5c542"), Band("Overload", "#d93a4e")))
LAMPS = Scale((0.5,), (Band("Off", "#5f7a99"), Band("Lit", "#ffd166")))
COVER = Scale((0.5,), (Band("Closed", "#16c784"), Band("Open", "#d93a4e")))
UNDERPASS = Scale(
    (0.15, 0.27),
    (Band("Passable", "#16c784"), Band("Wading", "#f5c542"), Band("Closed to traffic", "#d93a4e")),
)
# Calls of citizens in an hour from one cell of the city grid, by convention
REPORTS = Scale(
    (6, 15, 30),
    (
        Band("Normal", "#16c784"),
        Band("Busy", "#9bd84b"),
        Band("High", "#f5c542"),
        Band("Very high", "#f2762e"),
    ),
)

_RANGES = {row["quantity"]: (float(row["low"] or "-inf"), float(row["high"] or "inf")) for row in table("data_centre")}
_GRADES = tuple((float(row["pue_to"]), int(row["grade"])) for row in table("pue_gb40879_2021"))


def pue_grade(pue: float) -> int | None:
    """Energy grade 1 (best) to 3 of a year's PUE, GB 40879-2021 table 1; None past the third."""
    return next((grade for limit, grade in _GRADES if pue <= limit), None)


def data_centre_excess(quantity: str, value: float) -> float:
    """How far a value lies outside its range in GB 50174-2017 annex A: 0 within, negative below, positive above.

    Quantities: inletTemperature, dewPoint, idleTemperature (°C), relativeHumidity (share).
    """
    low, high = _RANGES[quantity]
    return min(value - low, 0.0) + max(value - high, 0.0)
