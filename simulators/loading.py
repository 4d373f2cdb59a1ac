"""Dynamic network loading: vehicles, conserved and handed on from link to link, by cell transmission.

Each link is a row of cells at least as long as a step's drive at free speed. In a step of 10 s a cell sends what its
speed allows and receives what its room allows (the free and the congested branch of the diagram in `network`):

    sending = min(v k, saturation)        receiving = min(w (jam - k), saturation)        flow = min of the two

At the end of a link the junction lets `discharge` pass. Those who are there turn by shares; a link that cannot receive
all who want to enter gives each movement the same share of its wish. A movement that is held back holds up the others
behind it by one lane in `lanes` (FIFO on one lane, partly so on more). Trips begin at the upper end of a link, among
the others who enter; those who find no room wait outside it and are counted.

Invariants, every step: entered = left + on the links + waiting, to rounding; 0 ≤ vehicles of a cell ≤ jam; and the
flow of a link over its minute is under the diagram at its density.

Gridlock cannot last: of those whom a full link keeps from going on, PATIENCE a step turn off into side streets that
the network does not draw. They count as left.

Sources: Daganzo (1994, 1995), cell transmission; Tampère et al. (2011), supply-demand nodes; capacity drop of a
queue's discharge 5 to 10 %.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulators.conditions import Array
from simulators.network import Network

STEP_S = 10
DROP = 0.93  # of capacity is what a standing queue discharges
PATIENCE = 0.03  # share of those held back by a full link who turn off elsewhere, a step
_KERB = (
    0.5  # of its saturation is what a link takes from its own kerbs and side streets, at most; all if no link feeds it
)
_QUEUED = 1.3  # times the density at saturation: denser than that is a queue
_HOUR = 3600.0


class Orders(NamedTuple):
    """What holds for some steps, all in vehicles a step: `begin`, `passing` (capacity) and `kerb` a link; `drive`, the
    share of a cell that gets over its end at free speed, and `most` a cell. `shares` (k, n), which of them are `used`,
    and what they lack to 1, `ending`; `limit`, factor on `passing`."""

    begin: Array
    shares: Array
    used: npt.NDArray[np.bool_]
    ending: Array
    limit: Array
    passing: Array
    kerb: Array
    drive: Array
    most: Array


class Loading:
    """The vehicles on a network. Per link of the minute (or steps) last advanced over: `flow` veh/h, `density` veh/km
    of all lanes, `moved` (k, n) and `out` vehicles; at its end: `vehicles`, `queue`, `waiting` outside, vehicles.

    The account since the beginning: `entered`, `left`, vehicles.
    """

    def __init__(self, network: Network, *, drop: float = DROP, patience: float = PATIENCE) -> None:
        self.network = network
        self._drop, self._patience = drop, patience
        n, hours = len(network.length), STEP_S / _HOUR
        reach = network.free * hours
        self.cells = np.maximum((network.length / np.maximum(reach, 1e-9)).astype(np.int64), 1)
        # A link shorter than a step's drive is taken as that long: nobody crosses two junctions in a step
        self._cell_km = np.maximum(network.length / self.cells, reach)
        self._last = np.cumsum(self.cells) - 1
        self._first = self._last - self.cells + 1
        self._link = np.repeat(np.arange(n), self.cells)
        on = self._link
        self.content = np.zeros(len(on))
        self._room = (network.jam * self._cell_km)[on]
        self._back = (network.wave * hours / self._cell_km)[on]
        # u of the diagram is vehicles times this; raised to 1.5 and bounded it is what slows
        scale = network.free / np.maximum(network.capacity * self._cell_km, 1e-9)
        self._bend = (scale * network.slowing ** (2 / 3) / (1 + network.slowing))[on]
        self._most = network.slowing[on]
        fed = network.into(network.turning * network.capacity)
        self._kerb = np.maximum(_KERB, 1 - fed / np.maximum(network.saturation, 1e-9))
        self._critical = network.saturation / network.free * self._cell_km
        self._fifo = 1 / np.maximum(network.lanes, 1)
        self._apart = 1 - self._fifo
        self.waiting, self.flow, self.density = np.zeros(n), np.zeros(n), np.zeros(n)
        self.out, self.moved = np.zeros(n), np.zeros(network.after.shape)
        self.entered = self.left = 0.0
        self._scratch = np.empty((3, len(on)))

    @property
    def vehicles(self) -> Array:
        return self._by_link(self.content)

    @property
    def queue(self) -> Array:
        """Vehicles in cells too dense to be moving freely."""
        queued = np.where(self.content > _QUEUED * self._critical[self._link], self.content, 0.0)
        return self._by_link(queued)

    def _by_link(self, cells: Array) -> Array:
        return np.add.reduceat(cells, self._first) if len(self._first) else np.zeros(0)

    def advance(
        self, begin: Array, shares: Array, *, limit: Array, pace: float = 1.0, narrowing: float = 1.0, steps: int = 6
    ) -> None:
        """Move all on by `steps` of STEP_S.

        `begin` veh/h, trips that begin a link; `shares` (k, n), of those at the end of a link who go on there (the
        rest ends its trip); `limit` a link, factor on its capacity (0: closed); `pace`, factor on free speed;
        `narrowing`, factor on capacity and saturation everywhere.
        """
        hours = STEP_S / _HOUR
        orders = self._orders(begin * hours, shares, limit, min(pace, 1.0) * hours, narrowing * hours)
        self.moved = np.zeros(shares.shape)
        passed, held = np.zeros(len(self.content)), np.zeros(len(self.content))
        for _ in range(steps):
            held += self.content
            self._step(orders, passed)
        self.out = passed[self._last]
        self.density = self._by_link(held) / steps / (self._cell_km * self.cells)
        self.flow = self._by_link(passed) / self.cells / (steps * hours)

    def _orders(self, begin: Array, shares: Array, limit: Array, pace: float, passing: float) -> Orders:
        network, on = self.network, self._link
        most = network.saturation * passing
        return Orders(
            begin=begin,
            shares=shares,
            used=shares > 0,
            ending=1 - shares.sum(axis=0),
            limit=limit,
            passing=network.capacity * passing,
            kerb=self._kerb * most,
            drive=(network.free * pace / self._cell_km)[on],
            most=most[on],
        )

    def _step(self, orders: Orders, passed: Array) -> None:
        """All flows from the state at the step's beginning, then all contents."""
        first, last = self._first, self._last
        sending, receiving, into = self._scratch
        self._send(orders, sending, into)
        self._receive(orders, receiving)
        at_end = sending[last]
        wish = np.minimum(at_end, self._discharge(orders.limit) * orders.passing)
        self.waiting += orders.begin
        entering, out, ended = self._junctions(wish, receiving[first], orders)
        # Those on a closed link turn round; else only who is kept by a full link ahead looks for another way
        off = self._patience * (np.where(orders.limit > 0, wish, at_end) - out)
        np.minimum(sending[:-1], receiving[1:], out=sending[:-1])
        sending[last] = np.minimum(out + off, at_end)
        into[1:] = sending[:-1]
        into[first] = entering
        self.content -= sending
        self.content += into
        passed += sending
        self.entered += float(orders.begin.sum())
        self.left += float((ended + off).sum())

    def _send(self, orders: Orders, sending: Array, slowed: Array) -> None:
        """What each cell would let go, by its speed; `slowed` is room to work in."""
        np.multiply(self.content, self._bend, out=slowed)
        np.sqrt(slowed, out=sending)
        slowed *= sending
        np.minimum(slowed, self._most, out=slowed)
        slowed += 1.0
        np.multiply(self.content, orders.drive, out=sending)
        sending /= slowed
        np.minimum(sending, orders.most, out=sending)

    def _receive(self, orders: Orders, receiving: Array) -> None:
        """What each cell has room for."""
        np.subtract(self._room, self.content, out=receiving)
        receiving *= self._back
        np.clip(receiving, 0.0, orders.most, out=receiving)

    def _discharge(self, limit: Array) -> Array:
        """Factor on capacity. What an incident leaves of it was measured with a queue: no drop on top."""
        queued = np.clip((self.content[self._last] / self._critical - 1.2) / 0.8, 0.0, 1.0)
        return np.asarray(np.minimum(limit, 1 - (1 - self._drop) * queued), np.float64)

    def _junctions(self, wish: Array, room: Array, orders: Orders) -> tuple[Array, Array, Array]:
        """Vehicles that enter each link, that go over its end, and those of them whose trip is over there."""
        network, n = self.network, len(wish)
        desired = orders.shares * wish
        outside = np.minimum(self.waiting, orders.kerb)
        part = np.ones(n + 1)
        part[:n] = np.minimum(room / np.maximum(network.into(desired) + outside, 1e-12), 1.0)
        granted = np.where(orders.used, part[network.after], 1.0)
        together = granted.min(axis=0) * self._fifo
        moved = desired * (together + self._apart * granted)
        ended = wish * orders.ending * (together + self._apart)
        started = outside * part[:n]
        self.waiting -= started
        self.moved += moved
        return network.into(moved) + started, moved.sum(axis=0) + ended, ended
