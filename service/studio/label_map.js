/**
 * A class id for every pixel. No drawing, no page: what the tools change and what is sent.
 *
 * @typedef {{x: number, y: number, width: number, height: number}} Rect  whole pixels
 * @typedef {{width: number, height: number, data: Uint8Array}} LabelMap  row-major class ids
 * @typedef {{id: number, name: string, color?: string | null}} Label
 */

/**
 * @param {number} width
 * @param {number} height
 * @param {number} [label]
 * @returns {LabelMap}
 */
export function createLabelMap(width, height, label = 0) {
  return { width, height, data: new Uint8Array(width * height).fill(label) };
}

/**
 * Nearest sampling to another size, at the centres of the new pixels, as the API's `resize=nearest` does it.
 *
 * @param {LabelMap} map
 * @param {number} width
 * @param {number} height
 * @returns {LabelMap}
 */
export function resample(map, width, height) {
  const out = createLabelMap(width, height);
  const columns = sources(map.width, width);
  sources(map.height, height).forEach((from, y) => {
    columns.forEach((x, to) => (out.data[y * width + to] = map.data[from * map.width + x]));
  });
  return out;
}

/**
 * The source index of each of `to` places along an axis of `from`.
 *
 * @param {number} from
 * @param {number} to
 */
export function sources(from, to) {
  return Array.from({ length: to }, (_, i) => Math.min(from - 1, Math.floor(((i + 0.5) * from) / to)));
}

/**
 * The pixels of each class id.
 *
 * @param {LabelMap} map
 */
export function countLabels(map) {
  const counts = new Uint32Array(256);
  for (const id of map.data) counts[id] += 1;
  return counts;
}

/**
 * Replaces ids through a table of 256.
 *
 * @param {LabelMap} map
 * @param {Uint8Array} table
 * @returns {LabelMap}
 */
export function relabel(map, table) {
  return { ...map, data: map.data.map((id) => table[id]) };
}

/** @type {Rect} */
export const EMPTY = Object.freeze({ x: 0, y: 0, width: 0, height: 0 });

/**
 * The smallest rectangle around both; an empty one adds nothing.
 *
 * @param {Rect} a
 * @param {Rect} b
 * @returns {Rect}
 */
export function union(a, b) {
  if (a.width === 0 || a.height === 0) return b;
  if (b.width === 0 || b.height === 0) return a;
  const x = Math.min(a.x, b.x);
  const y = Math.min(a.y, b.y);
  const right = Math.max(a.x + a.width, b.x + b.width);
  const bottom = Math.max(a.y + a.height, b.y + b.height);
  return { x, y, width: right - x, height: bottom - y };
}

/**
 * The part of a rectangle (of any numbers) that lies on the map, in whole pixels.
 *
 * @param {Rect} rect
 * @param {{width: number, height: number}} map
 * @returns {Rect}
 */
export function clip(rect, map) {
  const x = Math.max(0, Math.floor(rect.x));
  const y = Math.max(0, Math.floor(rect.y));
  const right = Math.min(map.width, Math.ceil(rect.x + rect.width));
  const bottom = Math.min(map.height, Math.ceil(rect.y + rect.height));
  return right > x && bottom > y ? { x, y, width: right - x, height: bottom - y } : EMPTY;
}
