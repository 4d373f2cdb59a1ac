// How a device looks: its two bytes of the frame turned into the colours the server gave. Nothing is judged here.

import { NO_BAND, UNKNOWN } from "./frame.mjs";

export const GREY = "#6b7684"; // silent, or never heard
export const LEVEL_COLOURS = ["#000000", "#3d8bff", "#ffd43b", "#ff8c2e", "#ff3b4e"]; // none, then 蓝 黄 橙 红

export const SHAPES = ["", "●", "▲", "◆", "■"]; // of the levels, as views/wall.py has them

/**
 * @param {{kind: string, domain: string}} device
 * @returns {{colour: string, band: number, level: number, known: boolean}} `band`: how much it stands out, from 0 on; -1
 *   where there is none
 */
export function appearance(device, value, status, { kinds, domains }) {
  const known = value < UNKNOWN;
  const band = status >> 4;
  const found = band === NO_BAND ? undefined : kinds[device.kind]?.bands?.[band];
  return {
    colour: known ? (found?.colour ?? domains[device.domain]?.colour ?? GREY) : GREY,
    band: known && found ? (found.weight ?? band) : -1,
    level: Math.min(status & 15, 4),
    known,
  };
}

/** All that `appearance` depends on but the device: a device whose key is the same looks the same. */
export function appearanceKey(value, status) {
  return value < UNKNOWN ? status : 256 | (status & 15);
}
