"""What all the standards share: tables, bands of a number, warning levels, and how a number is rounded."""

import csv
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from enum import IntEnum
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Level(IntEnum):
    """A warning or alarm level, by the national colours 蓝黄橙红; a frame carries the number."""

    NONE = 0
    BLUE = 1
    YELLOW = 2
    ORANGE = 3
    RED = 4


class Band(NamedTuple):
    """One band of a scale: its name (a message id) and its colour on screen."""

    label: str
    colour: str


@dataclass(frozen=True)
class Scale:
    """Bands of one number; `edges[i]` parts band i from band i+1, and belongs to the higher unless `inclusive`."""

    edges: tuple[float, ...]
    bands: tuple[Band, ...]
    inclusive: bool = False

    def band(self, value: float) -> int:
        return (bisect_left if self.inclusive else bisect_right)(self.edges, value)

    def of(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
        """`band` of each; of one that is not a number, the last."""
        return np.searchsorted(self.edges, values, side="left" if self.inclusive else "right")


@cache
def table(name: str) -> Sequence[dict[str, str]]:
    """The rows of twin/data/<name>.csv, as text."""
    text = (files("twin") / "data" / f"{name}.csv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(text.splitlines()))


def rounded(value: float, decimals: int) -> Decimal:
    """To so many decimals, a half to the even neighbour (四舍六入五成双, GB/T 8170-2008 clause 3.2).

    What is rounded is the number as it reads, to nine decimals: the binary form of 0.35 is less than a half, and a mean
    carries the noise of its sum.
    """
    return Decimal(repr(round(float(value), 9))).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_EVEN)
