"""Surface water by GB 3838-2002, by the single-factor method: the class of a water is that of its worst item."""

from collections.abc import Mapping
from typing import NamedTuple

from twin.standards.scale import Band, Scale, table

WATER = Scale(
    (1, 2, 3, 4, 5),
    (
        Band("Class I", "#4fc3f7"),
        Band("Class II", "#29b6f6"),
        Band("Class III", "#16c784"),
        Band("Class IV", "#f5c542"),
        Band("Class V", "#f2762e"),
        Band("Worse than V", "#d93a4e"),
    ),
)
WORSE_THAN_V = 5

# item → the worst value allowed in classes I to V; dissolved oxygen is a least, not a most
_LIMITS: Mapping[str, tuple[float, ...]] = {
    row["item"]: tuple(float(row[c]) for c in ("I", "II", "III", "IV", "V")) for row in table("water_gb3838_2002")
}
_LEAST = {row["item"] for row in table("water_gb3838_2002") if row["rule"] == "least"}
_PH = (6, 9)  # table 1: the same in every class, so it can only spoil one


class WaterQuality(NamedTuple):
    """`band`: 0 (class I) to 5 (worse than V). `worst`: the items that put it there, by metric name."""

    band: int
    worst: tuple[str, ...]


def _of_item(item: str, value: float) -> int:
    return sum(value < limit if item in _LEAST else value > limit for limit in _LIMITS[item])


def water_quality(values: Mapping[str, float]) -> WaterQuality | None:
    """Class of measured values by metric name, GB 3838-2002 table 1; None when no item that is graded was measured."""
    found = {item: _of_item(item, values[item]) for item in _LIMITS if item in values}
    if "pH" in values and not _PH[0] <= values["pH"] <= _PH[1]:
        found["pH"] = WORSE_THAN_V
    if not found:
        return None
    band = max(found.values())
    return WaterQuality(band, tuple(item for item, b in found.items() if b == band))


def water_class(values: Mapping[str, float]) -> int | None:
    """The band alone."""
    found = water_quality(values)
    return None if found is None else found.band
