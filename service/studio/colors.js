/**
 * Colours of labels.
 *
 * @typedef {import("./label_map.js").Label} Label
 * @typedef {[number, number, number]} Rgb
 */

/**
 * `#rrggbb`.
 *
 * @param {string} text
 * @returns {Rgb}
 */
export function parseColor(text) {
  const value = parseInt(text.replace("#", ""), 16) || 0;
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255];
}

/** @param {Rgb} color */
export const formatColor = (color) => `#${color.map((value) => value.toString(16).padStart(2, "0")).join("")}`;

/**
 * A colour for each of 256 ids: the label's own, else one of hues a golden angle apart, which keeps neighbours different.
 *
 * @param {Label[]} labels
 * @returns {Rgb[]}
 */
export function paletteOf(labels) {
  const own = new Map(labels.map((label) => [label.id, label.color]));
  return Array.from({ length: 256 }, (_, id) => {
    const color = own.get(id);
    return color ? parseColor(color) : hue(id * 137.508);
  });
}

/**
 * @param {number} degrees
 * @returns {Rgb}
 */
function hue(degrees) {
  /** @param {number} shift */
  const channel = (shift) => Math.round(140 + 80 * Math.cos(((degrees - shift) * Math.PI) / 180));
  return [channel(0), channel(120), channel(240)];
}
