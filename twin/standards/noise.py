"""Environmental noise by GB 3096-2008: limits by zone class, for day (06-22) and night (22-06) local time.

The limits are for the equivalent level over the whole day or night; a reading of a minute held against them, as the
map does, tells where it is loud now, not whether the standard is kept.
"""

import math
from collections.abc import Mapping, Sequence

from twin.standards.scale import Band, Scale, table

NOISE = Scale(
    (0, 5),
    (Band("Within limit", "#16c784"), Band("Over limit", "#f5c542"), Band("Far over limit", "#f2762e")),
    inclusive=True,
)

# zone class → (day, night) dB(A), table 1; clause 5.3 for the railways that were there before 2011
NOISE_LIMITS: Mapping[str, tuple[int, int]] = {
    row["class"]: (int(row["day"]), int(row["night"])) for row in table("noise_gb3096_2008")
}
_NIGHT_PEAK = 15  # dB(A), clause 5.4


def _is_day(hour: int) -> bool:
    return 6 <= hour < 22


def noise_excess(level: float, zone_class: str, hour: int) -> float:
    """dB(A) over the limit of a zone class at a local hour, table 1; negative when within it."""
    day, night = NOISE_LIMITS[zone_class]
    return level - (day if _is_day(hour) else night)


def night_peak_excess(peak: float, zone_class: str, hour: int) -> float | None:
    """dB(A) by which a sudden noise (LAmax) is over what a night allows, clause 5.4; None by day."""
    return None if _is_day(hour) else peak - NOISE_LIMITS[zone_class][1] - _NIGHT_PEAK


def equivalent_level(levels: Sequence[float]) -> float | None:
    """Leq of levels over equal times, dB(A), clause 3.2: the mean of the energies. None of none."""
    if not levels:
        return None
    return 10 * math.log10(math.fsum(10 ** (level / 10) for level in levels) / len(levels))
