// The day of the compute centre's power that the wall draws, for any instant of a range: read once, cut at the instant.

import { DAY_MS } from "./moments.mjs";

const COLOURS = { facilityPower: "#f5c542", itPower: "#35c6f4" };
const BUCKET_MS = 300_000;
const MOST = 10_000; // buckets in one answer

export class Trend {
  #series = [];

  /** @param {(query: URLSearchParams) => Promise<object>} history what /api/v1/history says */
  constructor({ devices }, history) {
    Object.assign(this, { centre: devices.find(({ kind }) => kind === "compute-centre"), history });
  }

  /** Read what the instants of a range need. */
  async read(from, to) {
    const metrics = this.centre?.metrics.filter(({ name }) => COLOURS[name]) ?? [];
    const points = Math.min(MOST, Math.ceil((to - from + DAY_MS) / BUCKET_MS));
    const asked = { device: this.centre?.id, from: Math.floor(from - DAY_MS), to: Math.floor(to), points };
    this.#series = await Promise.all(
      metrics.map(async ({ name, label }) => {
        const { at, mean } = await this.history(new URLSearchParams({ ...asked, metric: name }));
        return { name: label, colour: COLOURS[name], at, values: mean };
      }),
    );
  }

  /** The chart of the day up to an instant (charts.mjs), or null where nothing was read. */
  at(instant) {
    const series = this.#series.map(({ at, values, ...how }) => {
      const [first, last] = [at.findIndex((t) => t > instant - DAY_MS), at.findLastIndex((t) => t <= instant)];
      const found = first < 0 || last < first ? [0, 0] : [first, last + 1];
      return { ...how, at: at.slice(...found), values: values.slice(...found).map((v) => Math.round(v * 10) / 10) };
    });
    return series.some(({ at }) => at.length) ? { kind: "line", unit: "kW", series, from: instant - DAY_MS, to: instant } : null;
  }
}
